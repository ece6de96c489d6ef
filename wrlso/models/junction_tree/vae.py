"""The junction-tree variational autoencoder: molecules as trees of rings and bonds, decoded without loops."""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Self

import numpy as np
import torch
from torch import Tensor, nn

from wrlso._chemistry.selfies_tokens import read_all
from wrlso._chemistry.smiles import SALTS, molecule_key, refuse_rows, texts
from wrlso._utils.validation import check_choice, check_count, check_flag, check_real
from wrlso.exceptions import ModelError
from wrlso.models.junction_tree._batches import (
    HEADER,
    ChoiceBatch,
    GraphBatch,
    TreeBatch,
    label_slots,
    unpack,
    unpack_isomers,
)
from wrlso.models.junction_tree._building import Bounds, Building, Preference, build_all, tree_batch
from wrlso.models.junction_tree._networks import (
    AttachmentScorer,
    GraphMessages,
    TreeDecoder,
    TreeMessages,
    choice_nll,
    longer_embedding,
    longer_scorer,
)
from wrlso.models.junction_tree._padded import PieceTables
from wrlso.models.junction_tree._reading import TreeReading, read_tree, read_trees
from wrlso.models.junction_tree._stereo import StereoScorer
from wrlso.models.junction_tree._writing import gumbel, write_trees
from wrlso.models.junction_tree.vocabulary import checked_vocabulary
from wrlso.models.molecules.base import SHIPPED, MoleculeVAE
from wrlso.models.protocol import Objects
from wrlso.models.tokens.aggregate_posterior import CodeMemory
from wrlso.models.tokens.networks import gaussian_divergence

__all__ = ["JunctionTreeVAE"]

Written = tuple[str | None, str | None]  # a SMILES or a reason

_CHUNK = 256  # molecules that go through a network at once
_LABEL_TRIES = 20  # labels that are tried where the likeliest do not fit


class JunctionTreeVAE(MoleculeVAE):
    """Latent model of molecules: SMILES in, canonical SMILES out.

    It implements :class:`wrlso.models.LatentModel`. A molecule is a tree of rings, of bonds outside rings,
    and of atoms where three of these meet (Jin, Barzilay, Jaakkola 2018). One part of z says the tree, clique
    by clique, the other how each clique is attached to the one before. Every ring that it writes is one of
    its vocabulary, and valences hold after every step, so that nothing decoded is invalid.

    The sizes are those of the paper; :meth:`small` has others.

    Parameters
    ----------
    vocabulary : sequence of str
        Labels of cliques that it can read and write, see :func:`clique_vocabulary`; they are kept as that
        writes them. :meth:`extend` adds more.
    salts : {"refuse", "largest", "neutral"}, default="refuse"
        What to do with several fragments: refuse them, take the largest, or this without charges.
    stereo : bool, default=False
        Whether stereochemistry counts. It is left out otherwise. Where it counts, decoding compares the
        isomers of what was put together and takes the likeliest given z, so that all of it is specified.
    hidden : int, default=450
        Units of all layers.
    tree_dim, graph_dim : int, default=28
        Latent dimensions of the tree and of the attachments.
    tree_depth, graph_depth : int, default=20, 3
        Rounds of messages in trees and in graphs.
    beta : float, default=0.005
        Weight of the divergence from N(0, I) in the loss.
    max_length : int, default=768
        Longest molecule that is read, in numbers of its row; drug-like molecules take about 230. With
        ``stereo`` most take a few more, those with five stereocentres about 200.
    max_cliques, max_candidates, max_backtracks, max_isomers : int, default=60, 256, 20, 32
        Bounds of decoding: cliques, ways to attach one clique, dead ends; isomers that are compared, if there
        are more random ones.
    max_seconds : float, default=10
        Longest time that one molecule's assembly from its tree may take. The rest is bounded by numbers: the
        tree by ``max_cliques``, the isomers by ``max_isomers``, each one's labels by a fixed effort.

    Examples
    --------
    >>> from wrlso.models import JunctionTreeVAE, clique_vocabulary
    >>> X = ["CC(C)Cc1ccccc1", "OCC1CCCCC1", "CC(=O)O"]
    >>> model = JunctionTreeVAE.small(clique_vocabulary(X))
    >>> Z = model.encode(model.tensorize(X))
    >>> tuple(Z.shape), len(model.decode(Z))
    ((3, 56), 3)
    """

    _FORMAT = "junction-tree-2"
    _CHANGEABLE = (
        "salts", "beta", "max_length", "max_cliques", "max_candidates", "max_backtracks", "max_isomers",
        "max_seconds",
    )  # fmt: skip
    _WORD = "label"
    max_tokens = 100

    def __init__(
        self,
        vocabulary: Sequence[str],
        *,
        salts: str = "refuse",
        stereo: bool = False,
        hidden: int = 450,
        tree_dim: int = 28,
        graph_dim: int = 28,
        tree_depth: int = 20,
        graph_depth: int = 3,
        beta: float = 0.005,
        max_length: int = 768,
        max_cliques: int = 60,
        max_candidates: int = 256,
        max_backtracks: int = 20,
        max_isomers: int = 32,
        max_seconds: float = 10.0,
    ) -> None:
        super().__init__()
        check_choice("salts", salts, SALTS)
        check_flag("stereo", stereo)
        check_real("beta", beta, minimum=0)
        check_real("max_seconds", max_seconds, above=0)
        sizes = {
            "hidden": hidden, "tree_dim": tree_dim, "graph_dim": graph_dim, "tree_depth": tree_depth,
            "graph_depth": graph_depth, "max_length": max_length,
        }  # fmt: skip
        bounds = {"max_cliques": max_cliques, "max_candidates": max_candidates, "max_isomers": max_isomers}
        for name, value in (sizes | bounds).items():
            check_count(name, value, minimum=HEADER if name == "max_length" else 1)
        check_count("max_backtracks", max_backtracks, minimum=0)
        self.vocabulary = checked_vocabulary(vocabulary)
        self.salts, self.beta, self.stereo = salts, float(beta), bool(stereo)
        self._sizes = {name: int(value) for name, value in sizes.items()}
        self.bounds: Bounds = Bounds(
            int(max_cliques), int(max_candidates), int(max_backtracks), int(max_isomers), float(max_seconds),
            _LABEL_TRIES,
        )  # fmt: skip
        self.embedding = nn.Embedding(len(self.vocabulary), hidden)
        self.tree_encoder = TreeMessages(hidden, tree_depth)
        self.graph_encoder = GraphMessages(hidden, graph_depth, self.stereo)
        self.tree_out = nn.Linear(hidden, 2 * tree_dim)
        self.graph_out = nn.Linear(hidden, 2 * graph_dim)
        self.tree_decoder = TreeDecoder(hidden, tree_dim, len(self.vocabulary))
        self.memory: CodeMemory = CodeMemory(tree_dim + graph_dim)
        self.attachments = AttachmentScorer(hidden, graph_dim, graph_depth)
        self.stereochemistry = StereoScorer(hidden, graph_dim, graph_depth) if self.stereo else None
        self._index()

    @classmethod
    def small(cls, vocabulary: Sequence[str], **parameters: Any) -> "JunctionTreeVAE":
        """Return a model with 128 units in place of 450, to be trained in minutes; all else as given."""
        return cls(vocabulary, **({"hidden": 128} | parameters))

    @classmethod
    def pretrained(cls, *, salts: str = "refuse", beta: float | None = None) -> "JunctionTreeVAE":
        """Return the model that ships with the package, trained on ZINC250k; see its card in the docs.

        It knows no stereochemistry.
        """
        return cls.from_file(SHIPPED["junction-tree"], salts=salts, beta=beta)

    @property
    def latent_dim(self) -> int:
        """Dimension d of the latent space: first the tree's part, then the graph's."""
        return self._sizes["tree_dim"] + self._sizes["graph_dim"]

    # ---------------------------------------------------------------- molecules and rows

    def tensorize(self, X: Objects) -> Tensor:
        """Return the rows of n SMILES (n, max_length), int16: tree, graph and attachments, then zeros.

        Many molecules are read in parallel, with a bar, and kept in :func:`wrlso.datasets.cache_folder`.

        Raises
        ------
        DataError
            Naming row and problem of up to five SMILES that are invalid, take more than ``max_length``
            numbers, or have rings or bonds that are not in the vocabulary.
        DataTypeError
            When X is not a sequence of str.
        """
        readings = read_trees(X, self.salts, self.stereo, progress=True)
        problems = [self._problem(reading) for reading in readings]
        refuse_rows([f"row {row}: {problem}" for row, problem in enumerate(problems) if problem is not None])
        return self._rows(readings)

    def tensorize_readable(self, X: Objects) -> tuple[Tensor, list[bool]]:
        """Return the rows of those of n SMILES that this model can read, and whether each of them is one.

        Many molecules are read as :meth:`tensorize` does.
        """
        readings = read_trees(X, self.salts, self.stereo, progress=True)
        readable = [self._problem(reading) is None for reading in readings]
        return self._rows([r for r, there in zip(readings, readable, strict=True) if there]), readable

    def _rows(self, readings: Sequence[TreeReading]) -> Tensor:
        array = np.zeros((len(readings), self._sizes["max_length"]), np.int16)
        for number, reading in enumerate(readings):
            row = reading.row
            row[label_slots(row)] = [self._numbers[label] for label in reading.labels]
            array[number, : len(row)] = row
        return torch.from_numpy(array)

    def key(self, x: str) -> str:
        """Return the identity of a molecule, its canonical SMILES; raises DataError for invalid SMILES."""
        return molecule_key(x, self.stereo, self.salts)

    def missing_tokens(self, X: Iterable[str]) -> list[str]:
        """Return the labels of some SMILES that are not in the vocabulary, sorted: its tokens are cliques.

        Invalid SMILES have none; :meth:`tensorize` says what is wrong with them.
        """
        readings = read_trees(texts(X), self.salts)
        return sorted({label for reading in readings for label in reading.labels} - set(self._numbers))

    def extend(self, X: Iterable[str]) -> Self:
        """Add the labels of some SMILES to the vocabulary, in place; returns self.

        What has been trained stays as it was: molecules of known labels have the same encodings. Invalid
        SMILES are passed over.
        """
        return self._grow(self.missing_tokens(X))

    def _token_lists(self, X: Objects) -> list[list[str]]:
        self.tensorize(X)  # what it refuses is named
        return [list(reading.tokens) for reading in read_all(list(X), self.stereo, self.salts)]

    def _alphabet(self) -> Sequence[str]:
        """Return the tokens of its cliques, and so of their atoms."""
        readings = read_all(self.vocabulary, self.stereo, "refuse")
        return sorted({token for reading in readings for token in reading.tokens})

    def _can_read(self, x: str) -> bool:
        return self._problem(read_tree(x, self.salts, self.stereo)) is None

    def _problem(self, reading: TreeReading) -> str | None:
        return reading.problem_for(self._numbers, self._sizes["max_length"])

    # ---------------------------------------------------------------- the latent space

    @torch.no_grad()
    def encode(self, inputs: Tensor) -> Tensor:
        """Return the posterior means (n, d) of rows (n, max_length).

        Raises ModelError where the weights give something that is not finite.
        """
        means = [torch.empty(0, self.latent_dim)]
        for part in inputs.split(_CHUNK):
            tree, graph, _ = unpack(part.to(self._device))
            _, root = self.tree_encoder(self.embedding.weight, tree)
            means.append(self._moments(root, graph)[0].cpu())
        Z = torch.cat(means)
        if not bool(torch.isfinite(Z).all()):
            raise ModelError("the encoder must return finite means, got NaN or infinity")
        return Z

    @torch.no_grad()
    def decode(
        self, Z: Tensor, temperature: float = 0.0, generator: torch.Generator | None = None
    ) -> list[str | None]:
        """Return n canonical SMILES: the likeliest clique and attachment at each step at temperature 0.

        None where z is not finite, where a bound is exceeded, and where the molecule has rings that this
        model could not read; see :meth:`decode_counted`.
        """
        return self._as_read(self.decode_counted(Z, temperature, generator)[0])

    @torch.no_grad()
    def decode_counted(
        self, Z: Tensor, temperature: float = 0.0, generator: torch.Generator | None = None
    ) -> tuple[list[str | None], Counter[str]]:
        """Decode, and count why nothing came out.

        Returns
        -------
        list of n str or None
        Counter
            Reasons: "not finite", "max_cliques", "max_candidates", "max_backtracks", "max_seconds",
            "no attachment" (a clique finds no place), "no molecule" (RDKit refuses it), and "not readable"
            (its rings are not in the vocabulary, or it is too long).
        """
        check_real("temperature", temperature, minimum=0)
        Z = self._points(Z)
        found: list[str | None] = []
        reasons: Counter[str] = Counter()
        for part in Z.split(_CHUNK):
            finite = torch.isfinite(part).all(dim=1)
            # what is huge would overflow inside; nothing lies out there
            points = torch.where(finite[:, None], part, 0.0).clamp(-1e4, 1e4).to(self._device)
            written = self._write(points, temperature, generator)
            for ok, (smiles, reason) in zip(finite.tolist(), written, strict=True):
                reason = reason if ok else "not finite"
                reasons.update([] if reason is None else [reason])
                found.append(None if reason is not None else smiles)
        return found, reasons

    def _write(self, Z: Tensor, temperature: float, generator: torch.Generator | None) -> list[Written]:
        """Return a SMILES or a reason for each z."""
        z_tree, z_graph = self._halves(Z)
        x = self.embedding.weight
        trees = write_trees(
            self.tree_decoder, x, z_tree, self.vocabulary, self.bounds, temperature, generator
        )
        rows = [row for row, tree in enumerate(trees) if tree.reason is None]
        results: list[Written] = [(None, tree.reason) for tree in trees]
        if not rows:
            return results
        labels, parents = [trees[row].labels for row in rows], [trees[row].parents for row in rows]
        batch = TreeBatch(len(rows), *(t.to(self._device) for t in tree_batch(labels, parents)[1:]))
        messages, _ = self.tree_encoder(x, batch)
        z = z_graph[rows]

        def score(choices: ChoiceBatch) -> Tensor:
            choices = ChoiceBatch(*(tensor.to(self._device) for tensor in choices))
            scores: Tensor = self.attachments(z, messages, choices, self._tables_there())
            return scores.float().cpu()

        def prefer(scores: Tensor, of: Tensor) -> Tensor:
            return scores + temperature * gumbel(scores.shape, generator) if temperature > 0 else scores

        buildings = [
            Building([self.vocabulary[label] for label in names], above, self.bounds)
            for names, above in zip(labels, parents, strict=True)
        ]
        build_all(buildings, self._numbers, score, prefer)
        for row, building in zip(rows, buildings, strict=True):
            results[row] = self._finished(building)
        if self.stereochemistry is not None:
            self._specify(results, self.stereochemistry, z_graph, prefer)
        return results

    def _finished(self, building: Building) -> Written:
        if building.reason is not None:
            return None, building.reason
        smiles = building.assembly.smiles()
        if smiles is None:
            return None, "no molecule"
        return (smiles, None) if self._can_read(smiles) else (None, "not readable")

    def _specify(
        self, results: list[Written], scorer: StereoScorer, z_graph: Tensor, prefer: Preference
    ) -> None:
        """Put one of its isomers in the place of each molecule."""
        flat = {row: smiles for row, (smiles, _) in enumerate(results) if smiles is not None}
        rows = {smiles: read_tree(smiles, "refuse").row for smiles in flat.values()}
        best = scorer.best(z_graph[list(flat)], flat.values(), rows, self.bounds.max_isomers, prefer)
        for row, isomer in zip(flat, best, strict=True):
            # more isomers than a row holds could make it too long
            readable = isomer is not None and self._can_read(isomer)
            results[row] = (isomer, None) if readable else (None, "not readable")

    def loss(self, inputs: Tensor) -> Tensor:
        """Return the negative ELBOs (n,): one-sample reconstruction plus beta times the divergence.

        In training mode some of the posteriors are remembered for :meth:`sample_prior`.
        """
        inputs = inputs.to(self._device)
        tree, graph, choices = unpack(inputs)
        x = self.embedding.weight
        messages, root = self.tree_encoder(x, tree)
        mean, log_variance = self._moments(root, graph)
        z = mean + torch.exp(0.5 * log_variance) * torch.randn_like(mean)
        out: Tensor = self._nll(inputs, x, messages, tree, graph, choices, z)
        if self.training:
            self.memory.remember(mean, log_variance, torch.ones(len(mean)))
        return out + self.beta * gaussian_divergence(mean, log_variance)

    def log_likelihood(self, inputs: Tensor, Z: Tensor) -> Tensor:
        """Return log p(x_i | z_i) (n,), differentiable in Z (n, d): of the tree and of its attachments.

        With ``stereo`` also that of the isomer, among those of the same flat molecule: the probabilities of
        the isomers add up to that of the flat molecule, and what a SMILES leaves open is summed over. Of more
        than 32 isomers, 32 random ones and the molecule itself stand for all.
        """
        Z = self._points(Z, len(inputs))
        Z, inputs = Z.to(self._device), inputs.to(self._device)
        tree, graph, choices = unpack(inputs)
        x = self.embedding.weight
        messages, _ = self.tree_encoder(x, tree)
        return -self._nll(inputs, x, messages, tree, graph, choices, Z)

    def _nll(
        self,
        inputs: Tensor,
        x: Tensor,
        messages: Tensor,
        tree: TreeBatch,
        graph: GraphBatch,
        choices: ChoiceBatch,
        z: Tensor,
    ) -> Tensor:
        z_tree, z_graph = self._halves(z)
        shape, labels = self.tree_decoder(x, z_tree, tree)
        scores = self.attachments(z_graph, messages, choices, self._tables_there())
        nll: Tensor = shape + labels + choice_nll(scores, choices, tree.n)
        if self.stereochemistry is None:
            return nll
        return nll + self.stereochemistry.nll(z_graph, graph, unpack_isomers(inputs))

    def _moments(self, root: Tensor, graph: GraphBatch) -> tuple[Tensor, Tensor]:
        """Return means and log-variances (n, d)."""
        parts = (self.tree_out(root), self.graph_out(self.graph_encoder(graph)))
        means, log_variances = zip(*(part.chunk(2, dim=1) for part in parts), strict=True)
        return torch.cat(means, dim=1), torch.cat(log_variances, dim=1).clamp(-12.0, 4.0)

    def _halves(self, z: Tensor) -> tuple[Tensor, Tensor]:
        tree, graph = z.split([self._sizes["tree_dim"], self._sizes["graph_dim"]], dim=1)
        return tree, graph

    def sample_prior(
        self, n: int, generator: torch.Generator | None = None, *, smoothing: float = 0.5
    ) -> Tensor:
        """Return n points (n, d) drawn from where the data of the last training lies.

        Its examples are remembered as training sees them, so with its weights; N(0, I) before any training.

        Parameters
        ----------
        n : int
        generator : torch.Generator, default=None
        smoothing : float in [0, 1], default=0.5
            How far draws lie from remembered examples: 0 gives these, many of them molecules of the data; 1
            one normal distribution with their mean and covariance, with molecules less like the data.
        """
        check_count("n", n, minimum=0)
        check_real("smoothing", smoothing, minimum=0, maximum=1)
        return self.memory.sample_between(n, generator, smoothing)

    def fit(
        self,
        X: Sequence[str],
        epochs: float = 10,
        *,
        batch_size: int = 32,
        lr: float = 1e-3,
        random_state: Any = 0,
        verbose: int = 1,
    ) -> Self:
        """Train on a list of SMILES, from the weights it has; labels that are new are added first.

        Parameters
        ----------
        X : sequence of n str
        epochs : float, default=10
            Passes over the data.
        batch_size : int, default=32
        lr : float, default=1e-3
            Largest learning rate; it rises for 200 steps and falls along a cosine.
        random_state : int, RandomState or None, default=0
        verbose : int, default=1
            0 for no progress bar.
        """
        return self._fit(X, epochs, batch_size, lr, random_state, verbose)

    # ---------------------------------------------------------------- state

    def _parameters_to_keep(self) -> dict[str, Any]:
        bounds = {name: value for name, value in self.bounds._asdict().items() if name in self._CHANGEABLE}
        return {"salts": self.salts, "stereo": self.stereo, "beta": self.beta} | self._sizes | bounds

    def set_state(self, state: Mapping[str, Any]) -> None:
        """Grow to the stored vocabulary; one that this model's own does not begin is refused."""
        super().set_state({**state, "vocabulary": checked_vocabulary(state["vocabulary"])})

    def extra_repr(self) -> str:
        """Show the parameters that are not modules."""
        return f"{len(self.vocabulary)} labels, stereo={self.stereo}, beta={self.beta}"

    @property
    def _device(self) -> torch.device:
        return self.embedding.weight.device

    def _index(self) -> None:
        self._numbers = {label: number for number, label in enumerate(self.vocabulary)}
        self._tables = PieceTables.of(self.vocabulary)

    def _tables_there(self) -> PieceTables:
        if self._tables.atoms.device != self._device:
            self._tables = self._tables.to(self._device)
        return self._tables

    @torch.no_grad()
    def _grow(self, new: Sequence[str]) -> Self:
        """Make room for new labels, unlikely at first; the old ones keep their numbers and meaning."""
        if new:
            self.vocabulary = checked_vocabulary([*self.vocabulary, *new])
            self.embedding = longer_embedding(self.embedding, len(new))
            self.tree_decoder.labels = longer_scorer(self.tree_decoder.labels, len(new))
            self._index()
        return self
