"""What is computed: ViT backbone, patch selection, feature blending, heads."""
