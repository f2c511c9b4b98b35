"""Rules: what the shop wants in its lists, whatever was learned."""
