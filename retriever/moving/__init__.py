"""Collections to a file and back: between folder, server and machines."""
