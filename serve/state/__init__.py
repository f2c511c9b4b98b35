"""The live state: the log, the rule that applies it, and the replicas' copies."""
