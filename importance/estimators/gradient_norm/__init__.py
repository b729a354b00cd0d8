"""The exact norm of each sample's loss gradient, ‖∇_θ ℓ‖₂, without ever forming the gradients.

Goodfellow 2015 for linear layers; here for every layer of BERT-like and decoder-only transformers. All parameters are
frozen, so that the one backward pass computes gradients of activations only; a hook on each layer's output converts its
gradient into the layer's contribution and frees it. Use it around your own forward pass, which other estimators may use
too::

    gradient_norm = GradientNorm(network)              # once: which parameters count, and whether all are covered
    with gradient_norm.watch() as watched:
        output = network(batch)                        # logits, hidden vectors, … as ever
        norms = watched.norms(losses(output, labels))  # losses [n], one a sample; returns [n], detached

or, where nothing else is wanted of the pass, ``gradient_norms(network, lambda: losses(network(batch), labels))``.

Inside ``watch`` the network is in evaluation mode with all parameters frozen; on leaving, modes and flags are
restored, and no ``.grad`` was touched. Call ``norms`` last, since it frees the graph (unless ``retain_graph=True``).
To get gradients by the word embeddings from the same pass, do not detach them: inside ``watch`` they already require
grad. One thread at a time may watch a network.

In reading order: ``subset`` which parameters count, ``squares`` the algebra, ``layers`` what is covered,
``foreign_use`` parameters used outside their layer, ``watch`` one pass, ``norm`` the whole.
"""

from importance.estimators.gradient_norm.norm import GradientNorm, gradient_norms
from importance.estimators.gradient_norm.subset import Subset
from importance.estimators.gradient_norm.watch import Watched

__all__ = ["GradientNorm", "Subset", "Watched", "gradient_norms"]
