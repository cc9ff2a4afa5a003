"""From RTL to gates of a library, and how fast they are."""
