"""A calibration with round numbers."""


def calibration(weights, distances=(0.4, 0.2, 0.1), flip=False):
    """Thresholds for 1 %, 0.1 % and 0.01 %, the last one unknown; genuine pairs up to 0.9."""
    rates, intervals = (1e-2, 1e-3, 1e-4), ([0.002, 0.03], [1e-4, 6e-3], None)
    told = zip(rates, (*distances[:2], None), intervals, strict=True)
    thresholds = [
        {"far": rate, "distance": distance, "cosine": None, "tar": 0.5, "reason": ""}
        | {"far_as_many": interval}
        for rate, distance, interval in told
    ]
    pairs = {"clean": {"genuine": {"95 %": 0.7}}, "mixed": {"genuine": {"95 %": 0.9}}}
    return {
        "weights": weights,
        "settings": {"flip": flip},
        "features": {"concat": {"thresholds": thresholds, "pairs": pairs}},
    }
