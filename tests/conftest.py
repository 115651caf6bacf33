"""What all suites need."""

import signal

# A shell starts what runs in its background deaf to Ctrl-C, and tests of Ctrl-C would inherit that.
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)
