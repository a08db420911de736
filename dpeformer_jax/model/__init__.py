"""What is computed: backbone, patch selection, feature blending, heads."""
