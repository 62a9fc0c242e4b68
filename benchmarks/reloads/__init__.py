"""What loading a model again and again costs a server, and whether its memory stays where it was."""
