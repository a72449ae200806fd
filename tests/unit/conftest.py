"""What all unit tests share: none of them promises a time, so a busy machine fails none."""

from hypothesis import settings

settings.register_profile("any-machine", deadline=None)
settings.load_profile("any-machine")
