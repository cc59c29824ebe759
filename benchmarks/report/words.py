"""The performance report's languages: those of the study's report, and its own words."""

from dataclasses import replace
from typing import Final

from fastfer.report.locale import Locale
from fastfer.report.locale import locale_of as report_locale

PORTUGUESE: Final[dict[str, str]] = {
    "Performance": "Desempenho",
    "From photographs to aligned faces in records.": "De fotografias a faces alinhadas em registros.",
    "Balancing": "Balanceamento",
    "Oversampling a train split with light copies.": "Sobreamostragem da parte de treino com cópias leves.",
    "Loading": "Carregamento",
    "From records to batches.": "De registros a lotes.",
    "Augmentation alone, of decoded images in memory.": (
        "Somente o aumento de dados, de imagens decodificadas na memória."
    ),
    "Training": "Treinamento",
    "Steps of training by architecture: time, memory, and what a step is made of.": (
        "Passos de treinamento por arquitetura: tempo, memória e de que um passo é feito."
    ),
    "Inference": "Inferência",
    "Images a trained network labels per second, and how long an answer takes.": (
        "Imagens que uma rede treinada rotula por segundo, e quanto demora uma resposta."
    ),
    "Scaling": "Escala",
    "How time and memory grow.": "Como o tempo e a memória crescem.",
    "{cores} cores of {processor}": "{cores} núcleos de {processor}",
    ", quick look": ", olhada rápida",
    "quick look": "olhada rápida",
    "whole": "completa",
    "What ours does in each case, beside the fastest peer and the limit that binds it, each measured in the same "
    "run. Machines are not compared with one another, and curves stand in their chapters.": (
        "O que o nosso faz em cada caso, ao lado do concorrente mais rápido e do limite que o restringe, medidos na "
        "mesma execução. Máquinas não são comparadas entre si, e as curvas estão em seus capítulos."
    ),
    "Nothing has been measured on a GPU yet": "Nada foi medido em uma GPU ainda",
    "This has not been measured yet": "Isto ainda não foi medido",
    "{chapter}, on {machine}": "{chapter}, em {machine}",
    "On {machine}.": "Em {machine}.",
    "This was a quick run, with small data and few repetitions: a look, not evidence.": (
        "Esta foi uma execução rápida, com poucos dados e poucas repetições: uma olhada, não uma evidência."
    ),
    "{case}: what else it took": "{case}: o que mais foi preciso",
    "Repetitions of each contender: {counts}.": "Repetições de cada concorrente: {counts}.",
    "With {settings}.": "Com {settings}.",
    "How far from the floor": "Quão longe do mínimo",
    "The least an image can take by arithmetic: the bytes it must move at the bandwidth that a plain copy reaches on"
    " the same machine, or its decoding by libjpeg-turbo in C.": (
        "O mínimo que uma imagem pode levar, por aritmética: os bytes que precisa mover na banda que uma cópia "
        "simples alcança na mesma máquina, ou sua decodificação pela libjpeg-turbo em C."
    ),
    "No stage was measured on a machine whose limits are known": (
        "Nenhuma etapa foi medida em uma máquina cujos limites são conhecidos"
    ),
    "What could not run": "O que não pôde ser executado",
    "Every contender ran.": "Todos os concorrentes foram executados.",
    "What was not measured": "O que não foi medido",
    "{chapter}, {machine}: not measured of some or all contenders: {measures}": (
        "{chapter}, {machine}: não medido em alguns ou em todos os concorrentes: {measures}"
    ),
    "Every figure that was looked for was measured.": "Tudo o que se procurou medir foi medido.",
    "Machines": "Máquinas",
    "The contenders of a case run in turn (A B A B ...), after a warm-up, in one run on one machine, so that a slow "
    "minute hits all of them. A rate is the median over repetitions.": (
        "Os concorrentes de um caso rodam em turnos (A B A B ...), após um aquecimento, em uma só execução em uma só"
        " máquina, de modo que um minuto lento atinge todos. Uma taxa é a mediana das repetições."
    ),
    "Intervals of rates are 95% percentile bootstrap intervals of the median over repetitions (Efron and Tibshirani,"
    " 1993); of two or three repetitions they are about their range.": (
        "Os intervalos das taxas são bootstrap percentil de 95% da mediana das repetições (Efron e Tibshirani, "
        "1993); com duas ou três repetições são aproximadamente a sua amplitude."
    ),
    "A ratio is that of two medians; its interval draws the repetitions of both anew, each by themselves, 2,000 "
    "times.": (
        "Uma razão é a de duas medianas; seu intervalo sorteia de novo as repetições de ambas, cada uma por si, "
        "2.000 vezes."
    ),
    "Peaks of memory are the highest seen while the contender ran; what could not be measured is left empty, and is "
    "never 0 or an estimate.": (
        "Os picos de memória são os maiores observados enquanto o concorrente rodava; o que não pôde ser medido fica"
        " vazio, e nunca é 0 nem uma estimativa."
    ),
    "Ours beside the fastest peer and the limit": "O nosso ao lado do concorrente mais rápido e do limite",
    "Measured": "Medido",
    "Ours": "O nosso",
    "Items/s": "Itens/s",
    "Faces/s": "Faces/s",
    "Copies/s": "Cópias/s",
    "images a second": "imagens por segundo",
    "faces a second": "faces por segundo",
    "copies a second": "cópias por segundo",
    "Ours, times the peer": "O nosso, vezes o concorrente",
    "Fastest peer": "Concorrente mais rápido",
    "Ours, times the limit": "O nosso, vezes o limite",
    "Limit": "Limite",
    "Microseconds an item": "Microssegundos por item",
    "On": "Em",
    "Contender": "Concorrente",
    "Role": "Papel",
    "ours": "nosso",
    "peer": "concorrente",
    "limit": "limite",
    "Ours, times this": "O nosso, vezes este",
    "This, times {limit}": "Este, vezes {limit}",
    "Repetitions": "Repetições",
    "Items of each": "Itens de cada",
    "Suite": "Conjunto de medidas",
    "Processor": "Processador",
    "Cores": "Núcleos",
    "Memory GiB": "Memória GiB",
    "GPU": "GPU",
    "Driver": "Driver",
    "Power limit W": "Limite de potência W",
    "System": "Sistema",
    "Python": "Python",
    "Libraries": "Bibliotecas",
    "Commit": "Commit",
    "Date": "Data",
    "Kind of run": "Tipo de execução",
    "Versions": "Versões",
    "Versions of the contenders": "Versões dos concorrentes",
    "Stage": "Etapa",
    "Floor": "Mínimo",
    "Floor, microseconds an image": "Mínimo, microssegundos por imagem",
    "Measured, microseconds an image": "Medido, microssegundos por imagem",
    "Times the floor": "Vezes o mínimo",
    "Measured times beside their floors": "Tempos medidos ao lado de seus mínimos",
    "{gray:,} B read and as many written, at the copy's bandwidth": (
        "{gray:,} B lidos e outros tantos escritos, na banda da cópia"
    ),
    "one JPEG decoded by libjpeg-turbo in C, on all cores": (
        "um JPEG decodificado pela libjpeg-turbo em C, em todos os núcleos"
    ),
    "{gray:,} B read and {float:,} B of floats written, at the copy's bandwidth": (
        "{gray:,} B lidos e {float:,} B de floats escritos, na banda da cópia"
    ),
    "Medians with 95% intervals, higher is better ↑; a limit is what nobody can exceed.": (
        "Medianas com intervalos de 95%, maior é melhor ↑; um limite é o que ninguém pode exceder."
    ),
    "Medians with 95% intervals, higher is better ↑.": "Medianas com intervalos de 95%, maior é melhor ↑.",
    "Medians, higher is better ↑.": "Medianas, maior é melhor ↑.",
    "The axis is logarithmic.": "O eixo é logarítmico.",
    "Dashed: ours at the first place, in proportion from there.": (
        "Tracejado: o nosso no primeiro ponto, daí em proporção."
    ),
    "Dashed: ours at the first place, unchanged from there.": (
        "Tracejado: o nosso no primeiro ponto, daí sem mudança."
    ),
    "{case}, by architecture: {what}": "{case}, por arquitetura: {what}",
    "{name} by {axis}": "{name} por {axis}",
    "CPU time per 1,000": "Tempo de CPU por 1.000",
    "First epoch": "Primeira época",
    "Peak RSS of all processes": "Pico de RSS de todos os processos",
    "Peak PSS of all processes": "Pico de PSS de todos os processos",
    "Peak RSS of the largest worker": "Pico de RSS do maior processo auxiliar",
    "Peak GPU memory of the processes (NVML)": "Pico de memória da GPU dos processos (NVML)",
    "Peak GPU memory allocated (torch)": "Pico de memória da GPU alocada (torch)",
    "Peak GPU memory reserved (torch)": "Pico de memória da GPU reservada (torch)",
    "GPU utilisation": "Utilização da GPU",
    "Power": "Potência",
    "Energy per 1,000": "Energia por 1.000",
    "Of a step: waiting for data": "De um passo: espera por dados",
    "Of a step: forward": "De um passo: passagem direta",
    "Of a step: backward": "De um passo: retropropagação",
    "Of a step: optimiser": "De um passo: otimizador",
    "Forward pass per image": "Passagem direta por imagem",
    "Of the processor's peak (MFU)": "Do pico do processador (MFU)",
    "Epoch of RAF-DB's size": "Época do tamanho do RAF-DB",
    "Epoch of ExpW's size": "Época do tamanho do ExpW",
    "Latency, median": "Latência, mediana",
    "Latency, 95th percentile": "Latência, percentil 95",
    "Latency, 99th percentile": "Latência, percentil 99",
    "Faces found": "Faces encontradas",
    "Landmark error, median": "Erro dos pontos faciais, mediana",
    "Landmark error, 95th percentile": "Erro dos pontos faciais, percentil 95",
    "Mean pixel": "Pixel médio",
    "s": "s",
    "MiB": "MiB",
    "W": "W",
    "J": "J",
    "ms": "ms",
    "GFLOP": "GFLOP",
    "distances of the eyes": "distâncias entre os olhos",
    "of white": "do branco",
}
OF_RESULTS: Final[dict[str, str]] = {
    "From photographs to faces": "De fotografias a faces",
    "Balancing the classes": "Balanceamento das classes",
    "From records to uint8 batches": "De registros a lotes uint8",
    "From records to uint8 batches, large set": "De registros a lotes uint8, conjunto grande",
    "From records to augmented float batches": "De registros a lotes de floats aumentados",
    "Augmentation alone": "Somente o aumento de dados",
    "Latency of one image": "Latência de uma imagem",
    "Inference in batches of 64": "Inferência em lotes de 64",
    "As a user runs it: a process from its start to its last file; images of 224 px in the page cache.": (
        "Como um usuário o executa: um processo, do início ao último arquivo; imagens de 224 px no cache de páginas."
    ),
    "As a user runs it: a process from its start to its last file; the photographs in the page cache.": (
        "Como um usuário o executa: um processo, do início ao último arquivo; as fotografias no cache de páginas."
    ),
    "Decoded images in memory, batches in stored order; every contender in a process of its own.": (
        "Imagens decodificadas na memória, lotes na ordem gravada; cada concorrente em um processo próprio."
    ),
    "Flip, rotation, scale, contrast and brightness, eager, on decoded images in memory.": (
        "Espelhamento, rotação, escala, contraste e brilho, sem compilação, em imagens decodificadas na memória."
    ),
    "One network and the trainer's own steps: fastfer's loader with the strong policy online and batches prefetched; "
    "the same with a DataLoader whose workers decode with OpenCV; one prepared batch replayed. Files in the page "
    "cache.": (
        "Uma rede e os próprios passos do treinador: o carregador do fastfer com a política forte online e lotes "
        "preparados adiante; o mesmo com um DataLoader cujos processos decodificam com OpenCV; um lote pronto, "
        "repetido. Arquivos no cache de páginas."
    ),
    "The trainer's own steps after a warm-up, the strong policy online, gradients averaged by DDP.": (
        "Os próprios passos do treinador após um aquecimento, a política forte online, gradientes promediados pelo DDP."
    ),
    "One process, but ONNX Runtime in its own; prepared float32 images in memory; until the logits are there.": (
        "Um só processo, exceto o ONNX Runtime, no seu próprio; imagens float32 prontas na memória; até que os logits "
        "estejam lá."
    ),
    "Records to uint8 batches in whole shuffled epochs after the first; the files in the page cache.": (
        "De registros a lotes uint8 em épocas inteiras embaralhadas após a primeira; os arquivos no cache de páginas."
    ),
    "The shard stage in a process of its own, started anew each turn; the photographs in the page cache.": (
        "A etapa dos registros em um processo próprio, iniciado de novo a cada turno; as fotografias no cache de "
        "páginas."
    ),
    "Whole shuffled epochs after the first, the files in the page cache; each contender in its own process.": (
        "Épocas inteiras embaralhadas após a primeira, os arquivos no cache de páginas; cada concorrente em um processo"
        " próprio."
    ),
    "arch": "arquitetura",
    "batch": "lote",
    "calls": "chamadas",
    "copies": "cópias",
    "detector": "detector",
    "images": "imagens",
    "loader": "carregador",
    "model": "modelo",
    "options": "opções",
    "peak_gflops_per_s": "pico de GFLOP/s",
    "policy": "política",
    "precision": "precisão",
    "set": "conjunto",
    "size_px": "tamanho em px",
    "steps": "passos",
    "threads": "threads",
    "workers": "processos auxiliares",
}
"""What result files say: the beginnings of titles, how it was measured, and the names of settings."""
WORDS: Final[dict[str, dict[str, str]]] = {"pt": PORTUGUESE | OF_RESULTS}
"""By the code of the language; the texts themselves are English."""


def locale_of(lang: str) -> Locale:
    """The language of a code.

    Raises:
        InputError: there is none.
    """
    locale = report_locale(lang)
    return replace(locale, words={**locale.words, **WORDS.get(lang, {})})


def told(text: str, _: Locale) -> str:
    """A text of a result file in the language, if it is one that our own suites write."""
    return _.words.get(text, text)


def title_told(title: str, _: Locale) -> str:
    """A case's title: as much of its beginning as the language knows, and the rest (a set, a network) as it is."""
    for end in range(len(title), 0, -1):
        if title[:end] in _.words and title[end : end + 1] in ("", " ", ","):
            return _.words[title[:end]] + title[end:]
    return title
