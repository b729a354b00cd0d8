"""The domain types and the mathematics of Weir: interactions, samples and their importance. No I/O.

In reading order:

- ``errors`` the error tree; ``events`` what arrives; ``sample`` what it becomes; ``attribution`` how, in event time
- ``scores`` importance and predictions of samples; ``estimators`` by which formula (the only part that uses torch);
  ``selection`` from a score to a weight
- ``hashing`` uniform numbers of ids; ``segments`` by an attribute; ``strata`` the parts of the buffer; ``thresholds``
  and the chance of being held; ``reservoir`` keys and who stays
- ``flush`` what a worker stores at once; ``quality`` how good predictions were, from counts
- ``estimates`` of the stream from the buffer, ``stream_comparison`` with the true values
- ``drift`` whether the stream has changed, from sums that add up over partitions
- ``race`` which policy of selection would learn more, live; ``control_arm`` whether selection helps at all
- ``arrays`` and ``callbacks`` names of types
- ``pseudonyms`` stand for names; ``lineage`` which samples a model version was made of
- ``weights`` how much a buffered row counts in training; ``evidence`` whether one model is better than another
"""
