"""What the datasets are like: photographs, who is in evidence, how the classes stand apart, how good the labels are."""
