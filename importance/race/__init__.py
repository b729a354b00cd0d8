"""A race of selection policies on the live stream, over the hidden vectors that scoring computes anyway. Pure arrays.

In reading order: ``policy`` what competes; ``heads`` small models that each learn what their policy would select;
``track`` judges them before they learn; ``standing`` the sums that say who is ahead, valid at every look; ``choice``
whom the next fine-tune follows.
"""
