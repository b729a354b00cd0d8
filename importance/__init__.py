"""The language and the mathematics of Weir: what an interaction is, and what it is worth. No I/O.

In reading order:

- ``errors`` the error tree; ``events`` what arrives; ``sample`` what it becomes; ``attribution`` how, in event time
- ``scores`` what a model says of a sample; ``estimators`` by which formula (the only part that knows torch);
  ``selection`` from a score to a weight
- ``hashing`` uniform numbers of ids; ``segments`` values told apart; ``strata`` the parts of the buffer; ``thresholds``
  and the chance of being held; ``reservoir`` keys and who stays
- ``flush`` what a worker stores at once; ``quality`` how good predictions were, from counts
- ``estimates`` what the buffer says of the stream, ``controls`` beside what the stream was
- ``weights`` how much a buffered row counts in training; ``evidence`` whether one model is better than another
"""
