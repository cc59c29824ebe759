"""The data engine: records, loaders and augmentation. It knows keys, images and labels, never faces."""
