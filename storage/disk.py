"""Which errors of a file mean that its disk takes no more of them."""

import errno
from typing import Final

REFUSALS: Final = (errno.ENOSPC, errno.EDQUOT, errno.EROFS, errno.EIO)
"""Full, over quota, read-only, broken. Any other error, such as too many open files, is not the disk's."""


def refuses(error: BaseException) -> bool:
    """Return whether a disk is why a file was not written or read.

    >>> refuses(OSError(errno.ENOSPC, "No space left on device")), refuses(TimeoutError())
    (True, False)
    """
    return isinstance(error, OSError) and error.errno in REFUSALS
