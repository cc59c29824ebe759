"""Faces in photographs: reading, detecting, matching to the annotation, aligning."""
