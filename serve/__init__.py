"""The live engine: two straight lines, one down for requests and one down for events."""
