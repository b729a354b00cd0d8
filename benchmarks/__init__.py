"""Speed and learning, measured: each file without an underscore runs alone and prints its tables (`make bench`)."""
