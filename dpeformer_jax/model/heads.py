"""Norms and classifiers on top of parts (arXiv 2402.10435, section 3.5)."""

import flax.linen as nn
import jax
import jax.numpy as jnp

CLASSIFIER_INIT = nn.initializers.normal(0.001)


class PartNorm(nn.Module):
    """A BatchNorm for each part with torch's statistics: [B, P, D] -> [B, P, D].

    Training normalises by the biased variance of the batch and updates the running variance by
    the unbiased one, momentum 0.1. The bias is a constant 0. It stands with the statistics, since
    it is never trained.
    """

    epsilon: float = 1e-5
    momentum: float = 0.1

    @nn.compact
    def __call__(self, x: jax.Array, train: bool) -> jax.Array:
        shape = x.shape[1:]
        scale = self.param("scale", nn.initializers.ones, shape)
        bias = self.variable("batch_stats", "bias", jnp.zeros, shape)
        mean = self.variable("batch_stats", "mean", jnp.zeros, shape)
        var = self.variable("batch_stats", "var", jnp.ones, shape)
        if not train:
            return (x - mean.value) * scale * jax.lax.rsqrt(var.value + self.epsilon) + bias.value
        batch_mean, batch_var = x.mean(0), x.var(0)
        unbiased = batch_var * len(x) / (len(x) - 1)
        mean.value += self.momentum * (batch_mean - mean.value)
        var.value += self.momentum * (unbiased - var.value)
        return (x - batch_mean) * scale * jax.lax.rsqrt(batch_var + self.epsilon) + bias.value

    def whole(self, x: jax.Array, train: bool) -> jax.Array:
        """Normalises a feature that is one part: [B, F] -> [B, F]."""
        return self(x[:, None], train)[:, 0]


class PartClassifier(nn.Module):
    """A linear classifier without bias for each part: [B, P, D] -> [B, P, C]."""

    num_classes: int

    @nn.compact
    def __call__(self, x: jax.Array) -> jax.Array:
        kernel = self.param("kernel", CLASSIFIER_INIT, (*x.shape[1:], self.num_classes))
        return jnp.einsum("bpd,pdc->bpc", x, kernel)


def classifier(num_classes: int) -> nn.Dense:
    """Builds a linear classifier without bias: [B, F] -> [B, C]."""
    return nn.Dense(num_classes, use_bias=False, kernel_init=CLASSIFIER_INIT)
