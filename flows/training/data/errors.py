"""A source that cannot be had at all, as opposed to one whose content breaks the contract."""


class SourceError(ValueError):
    """No such file, member or package, or its bytes are not the ones the spec pins; the message names what."""
