"""Every field there is, with its default; the other configs state only what differs.

The defaults are the published method (arXiv 2402.10435) at full size. Any field can be set on the
command line: `--config.train.epochs=60`. Used as it is, it trains on RenderedReid/full:

python main.py --config=configs/default.py --workdir=runs/full

Made for a GPU: 26,000 steps of 64 images. Not run here.

With any config, `--config=configs/NAME.py:released` computes as the authors' released program.
"""

from ml_collections import ConfigDict


def get_config(preset: str = "") -> ConfigDict:
    """The full-size network and the published recipe.

    preset: "", or "released" by `--config=configs/NAME.py:released`.
    """
    config = ConfigDict()
    config.seed = 0  # of initialisation, sampling and augmentation
    config.parallel = "jit"  # the step on many devices: "jit" (sharded arrays) or "pmap"

    config.distributed = distributed = ConfigDict()
    distributed.enabled = False  # several processes train together (docs/scaling.md)
    distributed.coordinator = ""  # host:port of process 0; "" is found out (SLURM, TPU, MPI, ...)
    distributed.processes = 0  # how many there are; 0 is found out
    distributed.process = -1  # number of this one; -1 is found out

    config.data = data = ConfigDict()
    data.builder = "rendered_reid"  # the training set: a name of data/catalog.py
    data.variant = ""  # of the builder; "" is its first
    data.root = ""  # folder of your own copy (the table of reid_csv); rendered_reid needs none
    data.joined = ()  # more training sets: "BUILDER[/VARIANT][=FOLDER]", FOLDER as seen from root
    data.pattern = r"([-\d]+)_c(\d+)"  # of reid_folder: identity, camera; opens the base names
    data.allow_other_counts = False  # go on with other than the published counts
    data.data_dir = ""  # where prepared data sets are kept; "" is TFDS's own choice
    data.on_bad_image = "error"  # a file that does not decode: "error" or "skip"
    data.image_size = (256, 128)  # height, width in pixels
    data.cache = "auto"  # decoded images: "auto" (in memory when they fit), "memory", "file"
    # (in data_dir, shared by all processes), "device" (training set on every GPU), "none"
    data.loader_threads = 4  # that decode, in this process
    data.loader_processes = 0  # that decode, where nothing is cached; 0 uses the threads

    config.model = model = ConfigDict()
    model.variant = "b16"  # "b16", "b32", "l16", "l32", "s16", "s32", "ti16", "nano8", "mu"
    model.stride = 16  # pixels between patches; smaller than the patch makes them overlap
    model.parts = 4  # P, stripes and bands of patches
    model.min_patches = 24  # K_min, fewest patches that DPSM keeps
    model.drop_path = 0.1  # stochastic depth of the last block
    model.sie = False  # side information embedding of the camera
    model.sie_coefficient = 3.0  # its factor
    model.dtype = "float32"  # of the computation: "float32" or "bfloat16"
    model.attention = "xla"  # how it is computed: "xla", or "cudnn" (NVIDIA, bfloat16 only)
    model.remat = False  # compute blocks again for their gradient: less memory, a third slower
    model.global_token = "class"  # "class", or "first_patch" (released program)
    model.pooling = "image"  # of kept patches: per "image", or to the "batch"'s fewest (released)
    model.head_merge = "image"  # in the FBM: per "image", or across the "batch" (released program)

    config.init = ConfigDict()
    config.init.checkpoint = ""  # folder of weights (convert_weights.py, a workdir); "": random

    config.views = views = ConfigDict()
    views.second = "roa"  # occluded view: "roa" (cut-outs), "erasing", "rectangle" or "person"
    views.padding = 10  # black pixels around the image before the random crop
    views.occluders = ""  # bank file, or folder in SA-1B-crop layout; "": drawn (docs/occluders.md)

    config.loss = loss = ConfigDict()
    loss.temperature = 0.05  # of the memory's softmax
    loss.occluded_memory = 0.3  # factor of the occluded view's memory loss
    loss.label_smoothing = 0.0  # share of the target spread over all identities
    loss.triplet = 0.0  # factor of the soft-margin batch-hard triplet loss
    loss.memory_epsilon = 0.0  # added inside the memory's softmax and logarithm; released: 1e-6

    config.optim = optim = ConfigDict()
    optim.name = "sgd"  # "sgd" or "adamw"
    optim.lr = 0.008  # highest learning rate of the weights
    optim.bias_lr_factor = 2.0  # by how much faster biases learn
    optim.momentum = 0.9  # of SGD
    optim.weight_decay = 1e-4  # of every parameter, biases and norms too
    optim.warmup_epochs = 5  # of linear growth from 0.01 lr

    config.train = train = ConfigDict()
    train.batch_size = 64  # images a step over all devices; each is seen as two views
    train.microbatches = 1  # pieces of a step's batch, for memory; the step computes the same
    train.images_per_identity = 4  # K of the P x K batches
    train.epochs = 120  # passes over the sampling plan
    train.checkpoint_every = 10  # epochs
    train.checkpoint_every_minutes = 10.0  # also within an epoch; 0: only at the ends of epochs
    train.on_nonfinite = "stop"  # at a loss that is NaN or infinite: "stop", or "skip" the step
    train.log_every = 50  # steps between lines of metrics.jsonl
    train.trace = 0  # steps that jax.profiler records into WORKDIR/trace, once warm; 0: none

    config.eval = evaluation = ConfigDict()
    evaluation.datasets = ()  # test sets, written as in data.joined; (): data.builder's own
    evaluation.batch_size = 128  # images a batch over all devices
    evaluation.rerank = False  # also score with k-reciprocal re-ranking (arXiv 1701.08398)
    evaluation.rerank_k1 = 20  # neighbours that may encode an image
    evaluation.rerank_k2 = 6  # nearest images over which encodings are averaged; 1 leaves them
    evaluation.rerank_weight = 0.3  # share of the original distance; Jaccard's has the rest
    if preset == "released":
        released(config)
    elif preset:
        raise ValueError(f"there is no preset {preset!r}; the only one is 'released'")
    return config.lock()  # a config file that sets a field not named above is refused


def released(config: ConfigDict) -> None:
    """What the authors' released program computes, where it differs from the paper.

    It exists for comparison: with it a feature depends on the other images of its batch, so
    scores change with eval.batch_size and the order of files. docs/differences.md tells what each
    field does.
    """
    config.model.global_token = "first_patch"  # top left, and not the class token
    config.model.pooling = "batch"  # lists of kept patches shortened to the batch's shortest
    config.model.head_merge = "batch"  # attention of other images enters a part
    config.views.second = "erasing"  # a rectangle of noise instead of cut-outs
    config.loss.memory_epsilon = 1e-6  # inside softmax and logarithm
