"""A race of selection policies on the live stream, over the hidden vectors that scoring computes anyway. Pure arrays.

In reading order: ``policy`` what competes; ``seen`` what scoring saw; ``heads`` small models that each learn what their
policy would select; ``track`` judges them before they learn; ``standing`` the sums that show who is ahead, at any time;
``choice`` whom fine-tunes would follow.
"""
