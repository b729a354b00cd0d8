"""The metrics of Weir: all in one file (``metrics``), and the HTTP endpoint that exposes them (``exporter``)."""
