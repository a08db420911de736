"""Every field there is, with its default; the other configs state only what differs.

The defaults are the published method (arXiv 2402.10435) at full size. Any field can be set on the
command line: `--config.train.epochs=60`. Used as it is, it trains on RenderedReid/full:

python main.py --config=configs/default.py --workdir=runs/full

Made for a GPU: 26,000 steps of 64 images. Not run here.

With any config, `--config=configs/NAME.py:PRESET` takes a preset of configs/presets.py.
"""

from ml_collections import ConfigDict

from configs.fields import Field, config_of
from configs.presets import preset_named
from data.dataset_spec import DEFAULT_PATTERN
from dpeformer_jax.model.variants import VARIANTS

ATTENTIONS = ("auto", "xla", "cudnn", "fused")
FAMILIES = ("dpeformer", "baseline", "transreid", "clipreid", "pass")
CACHES = ("auto", "memory", "file", "device", "none")
RERANKINGS = ("", "20-6", "50-15")
OCCLUSIONS = ("roa", "erasing", "rectangle", "person", "none")
BANDS = ("similarity", "raster", "stripes")

# When a run goes on, `free` fields may change, and those that `grow` may be raised. A new field's
# default must reproduce older runs.
FIELDS = (
    Field("seed", 0, "of initialisation, sampling and augmentation", low=0),
    Field("parallel", "jit", "how many devices share a step", choices=("jit", "pmap"), free=True),
    # Several processes that train together (docs/scaling.md).
    Field("distributed.enabled", False, "several processes train together", free=True),
    Field("distributed.coordinator", "", "host:port of process 0; '' is found out", free=True),
    Field("distributed.processes", 0, "how many there are; 0 is found out", low=0, free=True),
    Field("distributed.process", -1, "number of this one; -1 is found out", low=-1, free=True),
    # What is trained on. The fingerprints of the images guard a run, so folders may move.
    Field("data.builder", "rendered_reid", "the training set, a name of data/catalog.py"),
    Field("data.variant", "", "of the builder; '' is its first"),
    Field("data.root", "", "folder of your own copy (of reid_csv: the table)", free=True),
    # 'BUILDER[/VARIANT][=FOLDER][;pattern=REGEX]', FOLDER as seen from root (docs/datasets.md).
    Field("data.joined", (), "more training sets"),
    # Groups (?P<identity>...) and (?P<camera>...), or two without names.
    Field("data.pattern", DEFAULT_PATTERN, "of reid_folder's names: identity, camera"),
    # Where reid_folder and reid_csv divide people into training and test themselves.
    Field("data.split_seed", 0, "which people are tested", low=0),
    Field("data.test_share", 0.5, "of the people, who are tested", low=0.01, high=0.99),
    # Chosen as those who are tested; --mode=calibrate finds its thresholds on them.
    Field("data.held_out", 0.0, "of the training identities, not trained on", low=0, high=0.9),
    Field("data.allow_other_counts", False, "go on with other than published counts", free=True),
    Field("data.data_dir", "", "folder of prepared data sets; '' is TFDS's choice", free=True),
    Field("data.on_bad_image", "error", "for a damaged file", choices=("error", "skip")),
    Field("data.image_size", (256, 128), "height, width in pixels"),
    # "auto" is memory when the images fit; "file" lies in data_dir and serves all processes;
    # "device" puts the training set on every GPU.
    Field("data.cache", "auto", "where decoded images stay", choices=CACHES, free=True),
    Field("data.loader_threads", 4, "threads that decode, in this process", low=1, free=True),
    Field(
        "data.loader_processes", 0, "that decode what no cache holds; 0: threads", low=0, free=True
    ),
    # The network.
    Field("model.family", "dpeformer", "its kind (docs/families.md)", choices=FAMILIES),
    Field("model.variant", "b16", "size of the backbone", choices=tuple(VARIANTS)),
    Field("model.stride", 16, "pixels between patches; below the patch they overlap", low=1),
    Field("model.parts", 4, "P, stripes and bands of patches", low=1),
    Field("model.min_patches", 24, "K_min, fewest patches that DPSM keeps"),
    Field("model.drop_path", 0.1, "stochastic depth of the last block", low=0, high=0.99),
    Field("model.sie", False, "side information embedding of the camera"),
    Field("model.sie_coefficient", 3.0, "factor of that embedding"),
    Field("model.dtype", "float32", "of the computation", choices=("float32", "bfloat16")),
    # "cudnn" is for NVIDIA and bfloat16, "fused" for TPUs; "auto" takes what suits the devices.
    Field("model.attention", "auto", "its program", choices=ATTENTIONS, free=True),
    Field("model.remat", False, "compute blocks again for their gradient, for memory", free=True),
    Field("model.scan", False, "compile one block for all: a faster start", free=True),
    # The second choice of the next three is the released program's.
    Field("model.global_token", "class", "the global token", choices=("class", "first_patch")),
    Field("model.pooling", "image", "whose count pools kept patches", choices=("image", "batch")),
    Field("model.head_merge", "image", "where FBM merges heads", choices=("image", "batch")),
    # Parts of DPEFormer, for comparison (docs/families.md).
    Field("model.selection", "dpsm", "of patches; all: without DPSM", choices=("dpsm", "all")),
    Field("model.similarity", "product", "of patches", choices=("product", "cosine")),
    Field("model.count", "released", "of patches above the gap", choices=("released", "above")),
    Field("model.bands", "similarity", "what is pooled to one part", choices=BANDS),
    Field("model.blending", True, "FBM blends the parts with the global token"),
    # CLIP-ReID and PASS.
    Field("model.projection", 512, "width of CLIP-ReID's second feature", low=1),
    Field("model.fusion", "cat", "of PASS's tokens", choices=("cat", "mean")),
    Field("model.token_necks", False, "each of PASS's tokens has a neck"),
    Field("init.checkpoint", "", "folder of weights to start from; '': random"),
    # The clean and the occluded view of a training image. "none": the clean one alone.
    Field("views.occlusion", "roa", "of the occluded view (docs/occluders.md)", choices=OCCLUSIONS),
    Field("views.padding", 10, "black pixels around the image before the random crop", low=0),
    Field("views.jitter", 0.1, "change of brightness, contrast and saturation", low=0, high=0.99),
    Field("views.occluders", "", "bank file or SA-1B-crop folder; '': drawn cut-outs", free=True),
    Field("views.erasing", 0.0, "share of lone views that lose a rectangle", low=0, high=1),
    # Factors of the loss terms (0 leaves a term out), and the terms' settings.
    Field("loss.id_features", 1.0, "identity loss of holistic and blended features", low=0),
    Field("loss.id_global", 2.0, "identity loss of the global token", low=0),
    Field("loss.id_parts", 1.0, "identity loss of each blended part", low=0),
    Field("loss.memory_clean", 1.0, "memory contrast of the clean view", low=0),
    Field("loss.memory_occluded", 0.3, "memory contrast of the occluded view", low=0),
    Field("loss.identity", 0.0, "identity loss of all logits", low=0),
    Field("loss.triplet", 0.0, "batch-hard triplet loss", low=0),
    Field("loss.triplet_margin", 0.0, "of distances; 0: the soft margin", low=0),
    Field("loss.temperature", 0.05, "of the memory's softmax", low=1e-6),
    Field("loss.label_smoothing", 0.0, "share of the target spread over all", low=0, high=0.99),
    # The released program: 1e-6.
    Field("loss.memory_epsilon", 0.0, "added in the memory's softmax and log", low=0, high=1e-3),
    Field("optim.name", "sgd", "the optimiser", choices=("sgd", "adam", "adamw")),
    Field("optim.lr", 0.008, "highest learning rate of the weights", low=1e-12),
    Field("optim.bias_lr_factor", 2.0, "by how much faster biases learn", low=0),
    # For weights from elsewhere: new parts learn faster, lower blocks slower.
    Field("optim.head_lr_factor", 1.0, "by how much faster heads learn", low=0),
    Field("optim.layer_decay", 1.0, "of rates, from block to lower block", low=1e-6, high=1),
    Field("optim.clip_norm", 0.0, "largest norm of the gradient; 0: any", low=0),
    Field("optim.schedule", "cosine", "of learning rates", choices=("cosine", "steps")),
    Field("optim.steps", (30, 50), "epochs from which a tenth is left"),
    Field("optim.momentum", 0.9, "of SGD", low=0, high=0.9999),
    Field("optim.weight_decay", 1e-4, "of every parameter, biases and norms too", low=0),
    Field("optim.warmup_epochs", 5, "of linear growth from 0.01 lr", low=0),
    Field("train.batch_size", 64, "images a step over all devices; each is seen as two views"),
    # The step computes the same, whatever the pieces.
    Field("train.microbatches", 1, "pieces of a batch, for memory", low=1, free=True),
    Field("train.images_per_identity", 4, "K of the P x K batches", low=2),
    Field("train.epochs", 120, "passes over the sampling plan", low=1, grows=True),
    Field("train.checkpoint_every", 10, "epochs between checkpoints", low=1, free=True),
    Field("train.checkpoint_every_minutes", 10.0, "within epochs; 0: never", low=0, free=True),
    # "skip" leaves out a step whose loss is NaN or infinite.
    Field("train.on_nonfinite", "stop", "at divergence", choices=("stop", "skip"), free=True),
    Field("train.log_every", 50, "steps between lines of metrics.jsonl", low=1, free=True),
    Field(
        "train.trace", 0, "steps that jax.profiler records, once warm; 0: none", low=0, free=True
    ),
    Field("eval.datasets", (), "test sets, as in data.joined; (): data.builder's own", free=True),
    # Scores and pictures on the way, for TensorBoard; they choose no checkpoint.
    Field("eval.every", 0, "epochs between looks at the network; 0: none", low=0, free=True),
    Field("eval.batch_size", 128, "images a batch over all devices", low=1, free=True),
    Field("eval.flip", False, "average the features of each image and its mirror image", free=True),
    # "euclidean" takes features as they are, "cosine" at length 1.
    Field("eval.metric", "cosine", "of features", choices=("cosine", "euclidean"), free=True),
    Field("eval.camera_rule", True, "images of the query's camera do not count", free=True),
    Field("eval.drop_duplicates", False, "of query pictures in the gallery", free=True),
    Field("eval.single_shot", 0, "draws of a gallery of one image a person", low=0, free=True),
    # Alpha query expansion (arXiv 1711.02512).
    Field("eval.expand", 0, "nearest images that join a query; 0: none", low=0, free=True),
    Field("eval.expand_alpha", 3.0, "power of their similarity", low=0, free=True),
    # "float16" halves the memory of gallery features and rounds them (docs/scoring.md).
    Field("eval.storage", "float32", "of the gallery", choices=("float32", "float16"), free=True),
    Field("eval.memory_mb", 128, "that blocks of distances take", low=1, free=True),
    # k-reciprocal re-ranking (arXiv 1701.08398).
    Field("eval.rerank", False, "also score after re-ranking", free=True),
    Field("eval.rerank_preset", "", "re-rank with k1-k2", choices=RERANKINGS, free=True),
    Field("eval.rerank_k1", 20, "neighbours that may encode an image", low=1, free=True),
    Field("eval.rerank_k2", 6, "nearest images whose encodings are averaged", low=1, free=True),
    Field("eval.rerank_weight", 0.3, "share of the original distance", low=0, high=1, free=True),
    # Thresholds of --mode=calibrate (docs/calibration.md).
    Field("calibrate.dataset", "", "as in eval.datasets; '': people of data.held_out", free=True),
    Field("calibrate.far", (1e-2, 1e-3, 1e-4), "the false-accept rates to choose for", free=True),
)
# Fields of earlier versions under their present names.
RENAMED = {"views.second": "views.occlusion", "loss.occluded_memory": "loss.memory_occluded"}


def get_config(preset: str = "") -> ConfigDict:
    """Returns the full-size network and the published recipe.

    preset: "", or a name of configs/presets.py by `--config=configs/NAME.py:PRESET`.
    """
    config = config_of(FIELDS)
    config.update_from_flattened_dict(preset_named(preset))
    return config.lock()  # so that a config file cannot set a field that is not named above
