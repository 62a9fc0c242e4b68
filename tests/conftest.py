"""Being here puts tests/ on the path: every tier imports `scorecard_repository` and `plain_repository`."""
