"""Drawing images from trained models: noise, batches, paths between h, and jobs of many images."""
