"""From a model's probabilities to scores with intervals."""
