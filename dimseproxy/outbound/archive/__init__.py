"""An outbound that answers from its own disk: receives, keeps, tells, and gives back objects."""
