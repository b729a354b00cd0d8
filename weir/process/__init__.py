"""What every process of Weir needs: logs, signals, temporary directories, and the name of its user."""
