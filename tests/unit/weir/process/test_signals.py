"""Which signals end a process, and that their handlers are restored."""

import os
import signal

import pytest

from weir.process.signals import handled, hangup, interrupt, stopped_by_signals


@pytest.mark.usefixtures("default_hangup")
def test_a_hangup_counts_unless_it_is_ignored() -> None:
    assert hangup() == (signal.SIGHUP,)
    signal.signal(signal.SIGHUP, signal.SIG_IGN)
    assert hangup() == ()


@pytest.mark.usefixtures("default_hangup")
def test_under_nohup_a_command_outlives_its_terminal() -> None:
    signal.signal(signal.SIGHUP, signal.SIG_IGN)
    with handled(interrupt, signal.SIGTERM, *hangup()):
        os.kill(os.getpid(), signal.SIGHUP)
    assert signal.getsignal(signal.SIGHUP) == signal.SIG_IGN


def test_a_handler_holds_for_the_block_alone() -> None:
    before = signal.getsignal(signal.SIGTERM)
    with pytest.raises(KeyboardInterrupt), handled(interrupt, signal.SIGTERM):
        os.kill(os.getpid(), signal.SIGTERM)
    assert signal.getsignal(signal.SIGTERM) == before


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_role_is_stopped_by_the_first_signal(number: signal.Signals) -> None:
    stops: list[None] = []
    before = signal.getsignal(number)
    with stopped_by_signals(lambda: stops.append(None)):
        os.kill(os.getpid(), number)
        assert stops == [None]
    assert signal.getsignal(number) == before
