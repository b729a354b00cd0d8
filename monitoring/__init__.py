"""What Weir shows of itself: every metric in one file (``metrics``), and the page that serves them (``exporter``)."""
