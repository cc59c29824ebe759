"""What is measured, and how. Imports `fastfer` and `pipelines` as a user would."""
