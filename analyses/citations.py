"""Whom to cite for a method: each reference as a sentence and as BibTeX, by the name that reports use."""

from __future__ import annotations

from dataclasses import dataclass

from dynsys.models.registry import MODELS


@dataclass(frozen=True)
class Citation:
    """One reference. ``where`` is the journal, book or school, with what it needs of volume and pages."""

    key: str
    kind: str  # of BibTeX: article, book, inproceedings, misc
    authors: tuple[str, ...]  # "Family, Given"
    year: int | None
    title: str
    where: str
    doi: str = ""

    @property
    def text(self) -> str:
        return f"{self.plain} {self.link}".rstrip()

    @property
    def link(self) -> str:
        """Where it is, for a reader to follow; empty where nothing is known."""
        return f"https://doi.org/{self.doi}" if self.doi else ""

    @property
    def plain(self) -> str:
        """The reference without where it is."""
        return f"{'; '.join(self.authors)} ({self.year or 'undated'}). {self.title}. {self.where}."

    @property
    def bibtex(self) -> str:
        venue = {"article": "journal", "inproceedings": "booktitle", "book": "publisher"}.get(self.kind, "howpublished")
        fields = {
            "author": " and ".join(self.authors),
            "title": f"{{{self.title}}}",
            venue: self.where,
            **({"year": str(self.year)} if self.year else {}),
            **({"doi": self.doi} if self.doi else {}),
        }
        body = ",\n".join(f"  {name} = {{{value}}}" for name, value in fields.items())
        return f"@{self.kind}{{{self.key},\n{body}\n}}"


CITATIONS = {
    citation.key: citation
    for citation in (
        Citation(
            "sussillo2013",
            "article",
            ("Sussillo, David", "Barak, Omri"),
            2013,
            "Opening the black box: low-dimensional dynamics in high-dimensional recurrent neural networks",
            "Neural Computation 25(3), 626-649",
            "10.1162/NECO_a_00409",
        ),
        Citation(
            "mante2013",
            "article",
            ("Mante, Valerio", "Sussillo, David", "Shenoy, Krishna V.", "Newsome, William T."),
            2013,
            "Context-dependent computation by recurrent dynamics in prefrontal cortex",
            "Nature 503, 78-84",
            "10.1038/nature12742",
        ),
        Citation(
            "song2016",
            "article",
            ("Song, H. Francis", "Yang, Guangyu R.", "Wang, Xiao-Jing"),
            2016,
            "Training Excitatory-Inhibitory Recurrent Neural Networks for Cognitive Tasks: "
            "A Simple and Flexible Framework",
            "PLoS Computational Biology 12(2), e1004792",
            "10.1371/journal.pcbi.1004792",
        ),
        Citation(
            "sussillo2009",
            "article",
            ("Sussillo, David", "Abbott, L. F."),
            2009,
            "Generating coherent patterns of activity from chaotic neural networks",
            "Neuron 63(4), 544-557",
            "10.1016/j.neuron.2009.07.018",
        ),
        Citation(
            "jang",
            "misc",
            ("Jang, Eric",),
            None,
            "Recurrent Neural Networks: a Dynamical Systems Perspective",
            "Term paper, Brown University, https://github.com/ericjang/RNN-dynamics",
        ),
        Citation(
            "wayman",
            "misc",
            ("Wayman, Eric Alan", "Mathew, Adi"),
            None,
            "An analysis and verification of the efficacy of using Fast Weights with RNNs",
            "Project reports (the final one by Wayman), CSE 847, Michigan State University",
        ),
        Citation(
            "ba2016",
            "inproceedings",
            ("Ba, Jimmy", "Hinton, Geoffrey", "Mnih, Volodymyr", "Leibo, Joel Z.", "Ionescu, Catalin"),
            2016,
            "Using Fast Weights to Attend to the Recent Past",
            "Advances in Neural Information Processing Systems 29",
        ),
        Citation(
            "kuznetsov2004",
            "book",
            ("Kuznetsov, Yuri A.",),
            2004,
            "Elements of Applied Bifurcation Theory",
            "Springer, 3rd edition",
            "10.1007/978-1-4757-3978-8",
        ),
        Citation(
            "govaerts2000",
            "book",
            ("Govaerts, Willy J. F.",),
            2000,
            "Numerical Methods for Bifurcations of Dynamical Equilibria",
            "SIAM",
            "10.1137/1.9780898719543",
        ),
        Citation(
            "keller1977",
            "inproceedings",
            ("Keller, Herbert B.",),
            1977,
            "Numerical solution of bifurcation and nonlinear eigenvalue problems",
            "Applications of Bifurcation Theory (ed. P. H. Rabinowitz), Academic Press, 359-384",
        ),
        Citation(
            "kingma2015",
            "inproceedings",
            ("Kingma, Diederik P.", "Ba, Jimmy"),
            2015,
            "Adam: A Method for Stochastic Optimization",
            "International Conference on Learning Representations, arXiv:1412.6980",
        ),
        Citation(
            "elman1990",
            "article",
            ("Elman, Jeffrey L.",),
            1990,
            "Finding structure in time",
            "Cognitive Science 14(2), 179-211",
            "10.1207/s15516709cog1402_1",
        ),
        Citation(
            "le2015",
            "misc",
            ("Le, Quoc V.", "Jaitly, Navdeep", "Hinton, Geoffrey E."),
            2015,
            "A Simple Way to Initialize Recurrent Networks of Rectified Linear Units",
            "arXiv:1504.00941",
        ),
        Citation(
            "hochreiter1997",
            "article",
            ("Hochreiter, Sepp", "Schmidhuber, Jürgen"),
            1997,
            "Long short-term memory",
            "Neural Computation 9(8), 1735-1780",
            "10.1162/neco.1997.9.8.1735",
        ),
        Citation(
            "gers2000",
            "inproceedings",
            ("Gers, Felix A.", "Schmidhuber, Jürgen"),
            2000,
            "Recurrent nets that time and count",
            "Proceedings of the IEEE-INNS-ENNS International Joint Conference on Neural Networks, vol. 3, 189-194",
            "10.1109/IJCNN.2000.861302",
        ),
        Citation(
            "greff2017",
            "article",
            (
                "Greff, Klaus",
                "Srivastava, Rupesh K.",
                "Koutník, Jan",
                "Steunebrink, Bas R.",
                "Schmidhuber, Jürgen",
            ),
            2017,
            "LSTM: A Search Space Odyssey",
            "IEEE Transactions on Neural Networks and Learning Systems 28(10), 2222-2232",
            "10.1109/TNNLS.2016.2582924",
        ),
        Citation(
            "cho2014",
            "inproceedings",
            (
                "Cho, Kyunghyun",
                "van Merriënboer, Bart",
                "Gulcehre, Caglar",
                "Bahdanau, Dzmitry",
                "Bougares, Fethi",
                "Schwenk, Holger",
                "Bengio, Yoshua",
            ),
            2014,
            "Learning Phrase Representations using RNN Encoder-Decoder for Statistical Machine Translation",
            "Proceedings of EMNLP, 1724-1734",
            "10.3115/v1/D14-1179",
        ),
        Citation(
            "wilson1927",
            "article",
            ("Wilson, Edwin B.",),
            1927,
            "Probable inference, the law of succession, and statistical inference",
            "Journal of the American Statistical Association 22(158), 209-212",
            "10.1080/01621459.1927.10502953",
        ),
        Citation(
            "efron1979",
            "article",
            ("Efron, Bradley",),
            1979,
            "Bootstrap methods: another look at the jackknife",
            "The Annals of Statistics 7(1), 1-26",
            "10.1214/aos/1176344552",
        ),
        Citation(
            "hopfield1982",
            "article",
            ("Hopfield, John J.",),
            1982,
            "Neural networks and physical systems with emergent collective computational abilities",
            "Proceedings of the National Academy of Sciences 79(8), 2554-2558",
            "10.1073/pnas.79.8.2554",
        ),
        Citation(
            "hopfield1984",
            "article",
            ("Hopfield, John J.",),
            1984,
            "Neurons with graded response have collective computational properties like those of two-state neurons",
            "Proceedings of the National Academy of Sciences 81(10), 3088-3092",
            "10.1073/pnas.81.10.3088",
        ),
        Citation(
            "amit1985",
            "article",
            ("Amit, Daniel J.", "Gutfreund, Hanoch", "Sompolinsky, Haim"),
            1985,
            "Storing infinite numbers of patterns in a spin-glass model of neural networks",
            "Physical Review Letters 55(14), 1530-1533",
            "10.1103/PhysRevLett.55.1530",
        ),
        Citation(
            "personnaz1985",
            "article",
            ("Personnaz, Léon", "Guyon, Isabelle", "Dreyfus, Gérard"),
            1985,
            "Information storage and retrieval in spin-glass like neural networks",
            "Journal de Physique Lettres 46(8), L359-L365",
            "10.1051/jphyslet:01985004608035900",
        ),
        Citation(
            "mceliece1987",
            "article",
            ("McEliece, Robert J.", "Posner, Edward C.", "Rodemich, Eugene R.", "Venkatesh, Santosh S."),
            1987,
            "The capacity of the Hopfield associative memory",
            "IEEE Transactions on Information Theory 33(4), 461-482",
            "10.1109/TIT.1987.1057328",
        ),
        Citation(
            "kosko1988",
            "article",
            ("Kosko, Bart",),
            1988,
            "Bidirectional associative memories",
            "IEEE Transactions on Systems, Man, and Cybernetics 18(1), 49-60",
            "10.1109/21.87054",
        ),
        Citation(
            "storkey1997",
            "inproceedings",
            ("Storkey, Amos",),
            1997,
            "Increasing the capacity of a Hopfield network without sacrificing functionality",
            "Artificial Neural Networks - ICANN'97, Springer, 451-456",
            "10.1007/BFb0020196",
        ),
        Citation(
            "shouno2004",
            "misc",
            ("Shouno, Hayaru", "Kido, Shoji", "Okada, Masato"),
            2004,
            "Analysis of Bidirectional Associative Memory using SCSNA and Statistical Neurodynamics",
            "arXiv:cond-mat/0402126",
        ),
        Citation(
            "krotov2016",
            "inproceedings",
            ("Krotov, Dmitry", "Hopfield, John J."),
            2016,
            "Dense Associative Memory for Pattern Recognition",
            "Advances in Neural Information Processing Systems 29",
        ),
        Citation(
            "ramsauer2020",
            "misc",
            (
                "Ramsauer, Hubert",
                "Schäfl, Bernhard",
                "Lehner, Johannes",
                "Seidl, Philipp",
                "Widrich, Michael",
                "Adler, Thomas",
                "Gruber, Lukas",
                "Holzleitner, Markus",
                "Pavlović, Milena",
                "Sandve, Geir Kjetil",
                "Greiff, Victor",
                "Kreil, David",
                "Kopp, Michael",
                "Klambauer, Günter",
                "Brandstetter, Johannes",
                "Hochreiter, Sepp",
            ),
            2020,
            "Hopfield Networks is All You Need",
            "arXiv:2008.02217",
        ),
        Citation(
            "bengio1994",
            "article",
            ("Bengio, Yoshua", "Simard, Patrice", "Frasconi, Paolo"),
            1994,
            "Learning long-term dependencies with gradient descent is difficult",
            "IEEE Transactions on Neural Networks 5(2), 157-166",
            "10.1109/72.279181",
        ),
        Citation(
            "pascanu2013",
            "inproceedings",
            ("Pascanu, Razvan", "Mikolov, Tomas", "Bengio, Yoshua"),
            2013,
            "On the difficulty of training recurrent neural networks",
            "Proceedings of the 30th International Conference on Machine Learning, 1310-1318",
        ),
        Citation(
            "jaeger2001",
            "misc",
            ("Jaeger, Herbert",),
            2001,
            "Short term memory in echo state networks",
            "GMD Report 152, German National Research Center for Information Technology",
        ),
        Citation(
            "goles1980",
            "article",
            ("Goles, Eric", "Olivos, Jorge"),
            1980,
            "Periodic behaviour of generalized threshold functions",
            "Discrete Mathematics 30(2), 187-189",
        ),
        Citation(
            "demircigil2017",
            "article",
            ("Demircigil, Mete", "Heusel, Judith", "Löwe, Matthias", "Upgang, Sven", "Vermet, Franck"),
            2017,
            "On a model of associative memory with huge storage capacity",
            "Journal of Statistical Physics 168(2), 288-299, arXiv:1702.01929",
        ),
        Citation(
            "chao1984",
            "article",
            ("Chao, Anne",),
            1984,
            "Nonparametric estimation of the number of classes in a population",
            "Scandinavian Journal of Statistics 11(4), 265-270",
        ),
        Citation(
            "trefethen2005",
            "book",
            ("Trefethen, Lloyd N.", "Embree, Mark"),
            2005,
            "Spectra and Pseudospectra: The Behavior of Nonnormal Matrices and Operators",
            "Princeton University Press",
        ),
        Citation(
            "benettin1980",
            "article",
            ("Benettin, Giancarlo", "Galgani, Luigi", "Giorgilli, Antonio", "Strelcyn, Jean-Marie"),
            1980,
            "Lyapunov characteristic exponents for smooth dynamical systems and for Hamiltonian systems; a method for "
            "computing all of them. Part 1: Theory",
            "Meccanica 15(1), 9-20",
            "10.1007/BF02128236",
        ),
        Citation(
            "kaplan1979",
            "inproceedings",
            ("Kaplan, James L.", "Yorke, James A."),
            1979,
            "Chaotic behavior of multidimensional difference equations",
            "Functional Differential Equations and Approximation of Fixed Points, Lecture Notes in Mathematics 730, "
            "Springer, 204-227",
            "10.1007/BFb0064319",
        ),
    )
}


def of_network(name: str) -> tuple[str, ...]:
    """The names of citations for a network of that kind as it is trained here; none where it is another's."""
    return MODELS[name].kind.papers if name in MODELS else ()
