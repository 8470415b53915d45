"""What evidence about a machine is worth: quotes, collateral and event logs, judged under a policy. Pure."""
