"""Why nothing can be simulated; apart from what needs training's libraries, so that commands can name it without them."""


class NothingToSimulate(Exception):
    """There is no traffic to replay: the message says why."""
