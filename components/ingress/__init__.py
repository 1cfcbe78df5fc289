"""The way in: the controller that stands before everything, and the routes behind it."""
