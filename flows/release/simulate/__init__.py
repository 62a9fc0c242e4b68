"""What a policy stops and what it lets through, measured: thousands of rollouts of the pure core against replayed traffic."""
