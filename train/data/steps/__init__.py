"""The steps of preparation, each a function from rows to rows."""
