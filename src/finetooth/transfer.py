"""Does what the network already knows bear on the task? Asked of its states before tuning."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from sklearn.covariance import ledoit_wolf

States = NDArray[np.float64]
Numbers = NDArray[np.int64]


def centroid(states: States, targets: Numbers, asked: States, labels: Numbers) -> float:
    """The accuracy of answering the class whose mean state is nearest; states of shape (rows, width)."""
    classes = np.unique(targets)
    means = np.stack([states[targets == c].mean(axis=0) for c in classes])
    # The squared distance, less what all classes have in common.
    nearest = ((means**2).sum(axis=1) - 2 * asked @ means.T).argmin(axis=1)
    return float((classes[nearest] == labels).mean())


def h_score(states: States, targets: Numbers) -> float:
    """How far apart the classes' mean states are, measured by how far rows are spread; 0.0 where they coincide.

    Bao et al. 2019 (An Information-Theoretic Approach to Transferability), equation 4, with the covariance shrunk as in
    Ibrahim et al. 2021 (Newer is Not Always Better), section 3. At most classes - 1.
    """
    covariance, shrinkage = ledoit_wolf(states)
    means = np.zeros_like(states)
    for c in np.unique(targets):
        means[targets == c] = states[targets == c].mean(axis=0)
    between = np.cov(means.T, bias=True)
    return float((1 - shrinkage) * np.trace(np.linalg.pinv(covariance, hermitian=True) @ between))
