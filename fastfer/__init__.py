"""The study: datasets, faces, balancing, models, training, evaluation, reports and the one command line."""

__version__ = "0.1.0"
