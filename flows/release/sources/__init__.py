"""Where signals come from: the servers' own metrics, a Prometheus, and the candidate itself."""
