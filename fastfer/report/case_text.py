"""What the page about the datasets says, in English and Portuguese: sentences with numbers to be filled in.

A sentence is chosen by what the numbers support; none claims more than its interval or its test allows.
"""

from typing import Final

from fastfer.report.locale import locale_of

TEXT: Final[dict[str, dict[str, str]]] = {
    "title": {"en": "How precise are {datasets}?", "pt": "Quão precisos são {datasets}?"},
    "summary": {"en": "What the numbers support", "pt": "O que os números sustentam"},
    "photographs": {"en": "The raw photographs", "pt": "As fotografias originais"},
    "queries": {"en": "The query's word and the label", "pt": "A palavra da busca e o rótulo"},
    "evidence": {"en": "The person in evidence", "pt": "A pessoa em evidência"},
    "separability": {"en": "Separability of the classes", "pt": "Separabilidade das classes"},
    "noise": {"en": "Quality of the labels", "pt": "Qualidade dos rótulos"},
    "how": {"en": "How this was measured", "pt": "Como isto foi medido"},
    "larger": {
        "en": "{quantity}: {one} has a median of {one_median}, {other} of {other_median}; the difference is "
        "{size} (Cliff's delta {delta}, adjusted p {p}).",
        "pt": "{quantity}: a mediana de {one} é {one_median}, a de {other} é {other_median}; a diferença é {size}"
        " (delta de Cliff {delta}, p ajustado {p}).",
    },
    "no_difference": {
        "en": "No difference between {one} and {other} was found in: {quantities}.",
        "pt": "Não se encontrou diferença entre {one} e {other} em: {quantities}.",
    },
    "query": {
        "en": "{dataset}: of {n} faces whose file name holds an emotion word, {share} ({low} to {high}) carry "
        "another label than the word asks for. The word is that of a web query, so this is no error of the "
        "label as such.",
        "pt": "{dataset}: de {n} faces cujo nome de arquivo contém uma palavra de emoção, {share} ({low} a "
        "{high}) têm um rótulo diferente do que a palavra pede. A palavra é a de uma busca na web; por si "
        "só, isto não é erro do rótulo.",
    },
    "no_query": {
        "en": "{dataset}: no file name holds an emotion word.",
        "pt": "{dataset}: nenhum nome de arquivo contém uma palavra de emoção.",
    },
    "crowded": {
        "en": "{dataset}: {share} ({low} to {high}) of {n} images searched whole show more than one face.",
        "pt": "{dataset}: {share} ({low} a {high}) de {n} imagens examinadas por inteiro mostram mais de uma "
        "face.",
    },
    "not_so": {
        "en": "{dataset}: of {n} annotated faces, {largest} are not the largest of their image, {central} not the"
        " most central, {sharp} not the sharpest.",
        "pt": "{dataset}: de {n} faces anotadas, {largest} não são a maior da imagem, {central} não são a mais "
        "central e {sharp} não são a mais nítida.",
    },
    "apart": {
        "en": "By {features}, classes of {one} stand further apart than those of {other}: a linear probe reaches "
        "{one_value} against {other_value} balanced accuracy, and the intervals of the draws do not meet.",
        "pt": "Por {features}, as classes de {one} são mais separadas que as de {other}: um classificador linear "
        "chega a {one_value} contra {other_value} de acurácia balanceada, e os intervalos dos sorteios não "
        "se tocam.",
    },
    "not_apart": {
        "en": "By {features}, no difference in separability is shown: a linear probe reaches {one_value} on {one}"
        " and {other_value} on {other}, and the intervals of the draws overlap.",
        "pt": "Por {features}, não se mostra diferença de separabilidade: um classificador linear chega a "
        "{one_value} em {one} e {other_value} em {other}, e os intervalos dos sorteios se sobrepõem.",
    },
    "wrong": {
        "en": "{dataset}: an estimated {share} ({low} to {high}) of the labels are wrong, by confident learning "
        "on {n} faces with a probe that agrees with {probe} of the labels.",
        "pt": "{dataset}: estima-se que {share} ({low} a {high}) dos rótulos estejam errados, por aprendizado "
        "confiante em {n} faces com um classificador que concorda com {probe} dos rótulos.",
    },
    "more_wrong": {
        "en": "The labels of {one} are estimated to be wrong more often than those of {other}: the intervals do "
        "not meet.",
        "pt": "Estima-se que os rótulos de {one} estejam errados com mais frequência que os de {other}: os "
        "intervalos não se tocam.",
    },
    "as_wrong": {
        "en": "A difference in label quality between {one} and {other} is not shown: the intervals overlap.",
        "pt": "Não se mostra diferença na qualidade dos rótulos entre {one} e {other}: os intervalos se "
        "sobrepõem.",
    },
    "judged": {
        "en": "{dataset}: a person judged {n} of the most suspicious labels; {share} ({low} to {high}) are wrong."
        " Suspects are not typical: this is no rate of the dataset.",
        "pt": "{dataset}: uma pessoa julgou {n} dos rótulos mais suspeitos; {share} ({low} a {high}) estão "
        "errados. Suspeitos não são típicos: esta não é a taxa do conjunto.",
    },
    "not_judged": {
        "en": "{dataset}: nobody has judged the suspects yet. Fill in the column verdict (agree, disagree, "
        "unclear) of {file}, and give the command again.",
        "pt": "{dataset}: ninguém julgou os suspeitos ainda. Preencha a coluna verdict (agree, disagree, unclear)"
        " de {file} e repita o comando.",
    },
    "how_shares": {
        "en": "Shares have 95% Wilson intervals that count the faces of one image as related (design effect).",
        "pt": "As proporções têm intervalos de Wilson de 95% que tratam as faces de uma imagem como dependentes "
        "(efeito do desenho).",
    },
    "how_tests": {
        "en": "Differences of photographs are tested by Mann and Whitney, two-sided, adjusted by Holm over all "
        "quantities; Cliff's delta is the effect, above 0 where the second dataset is larger.",
        "pt": "As diferenças entre fotografias são testadas por Mann e Whitney, bilateral, com ajuste de Holm "
        "sobre todas as grandezas; o efeito é o delta de Cliff, acima de 0 onde o segundo conjunto é maior.",
    },
    "how_evidence": {
        "en": "Faces of whole images were found by {detector} in a random sample of images; faces smaller than "
        "3.5% of the image's longer side are not sought.",
        "pt": "As faces das imagens inteiras foram encontradas por {detector} em uma amostra aleatória de "
        "imagens; não se procuram faces menores que 3,5% do lado maior da imagem.",
    },
    "how_separability": {
        "en": "Separability is measured on {per_class} faces of each class and dataset, drawn {draws} times; "
        "intervals hold 95% of the draws.",
        "pt": "A separabilidade é medida em {per_class} faces de cada classe e conjunto, sorteadas {draws} vezes;"
        " os intervalos contêm 95% dos sorteios.",
    },
    "how_network": {
        "en": "{features}: features of the network trained on each dataset, of test faces it was not trained on.",
        "pt": "{features}: atributos da rede treinada em cada conjunto, de faces de teste com que não foi treinada.",
    },
    "how_noise": {
        "en": "Wrong labels are estimated from predictions of faces that the probe had not seen, nor any face of "
        "their image. The estimate includes expressions that the probe itself confuses; on made labels it "
        "was 0 to 3 points too high.",
        "pt": "Os rótulos errados são estimados com previsões de faces que o classificador não viu, nem outra "
        "face da mesma imagem. A estimativa inclui expressões que o próprio classificador confunde; em "
        "rótulos fabricados ela foi 0 a 3 pontos alta demais.",
    },
}  # fmt: skip
WORDS: Final[dict[str, dict[str, str]]] = {
    "dataset": {"en": "Dataset", "pt": "Conjunto"},
    "quantity": {"en": "Quantity", "pt": "Grandeza"},
    "median": {"en": "median (quartiles)", "pt": "mediana (quartis)"},
    "effect": {"en": "Cliff's delta", "pt": "Delta de Cliff"},
    "size": {"en": "Effect", "pt": "Efeito"},
    "p": {"en": "Adjusted p", "pt": "p ajustado"},
    "features": {"en": "Features", "pt": "Atributos"},
    "class": {"en": "Class", "pt": "Classe"},
    "all": {"en": "all", "pt": "todas"},
    "share_wrong": {"en": "Estimated share of wrong labels ↓", "pt": "Proporção estimada de rótulos errados ↓"},
    "faces": {"en": "Faces", "pt": "Faces"},
    "measure": {"en": "Measure", "pt": "Medida"},
    "value": {"en": "Share", "pt": "Proporção"},
    "query_class": {"en": "Query", "pt": "Busca"},
    "label": {"en": "Label", "pt": "Rótulo"},
    "disagree": {"en": "Label differs from the query", "pt": "Rótulo difere da busca"},
    "crowded": {"en": "Image shows more than one face", "pt": "A imagem mostra mais de uma face"},
    "is_largest": {"en": "Annotated face is not the largest", "pt": "A face anotada não é a maior"},
    "is_most_central": {"en": "Annotated face is not the most central", "pt": "A face anotada não é a mais central"},
    "is_sharpest": {"en": "Annotated face is not the sharpest", "pt": "A face anotada não é a mais nítida"},
    "suspects": {"en": "The most suspicious labels", "pt": "Os rótulos mais suspeitos"},
    "suspects_note": {
        "en": "Written label, then what other faces suggest.",
        "pt": "Rótulo escrito e o que as demais sugerem.",
    },
    "plane": {"en": "Faces by t-SNE", "pt": "Faces por t-SNE"},
    "plane_note": {
        "en": "Each point a face; near points look alike (HOG). Distances between groups mean nothing.",
        "pt": "Cada ponto é uma face; pontos próximos são parecidos (HOG). Distâncias entre grupos nada "
        "significam.",
    },
    "pairs": {"en": "Pairs of classes told apart", "pt": "Pares de classes distinguidos"},
    "pairs_note": {
        "en": "Balanced accuracy of a linear probe for each pair; 0.5 is chance, higher is better ↑.",
        "pt": "Acurácia balanceada de um classificador linear para cada par; 0,5 é o acaso, maior é melhor ↑.",
    },
    "query_matrix": {"en": "Query by label", "pt": "Busca por rótulo"},
    "query_note": {
        "en": "Share of each query's faces (rows sum to 1) by their label.",
        "pt": "Proporção das faces de cada busca (linhas somam 1) por rótulo.",
    },
    "negligible": {"en": "negligible", "pt": "desprezível"},
    "small": {"en": "small", "pt": "pequeno"},
    "medium": {"en": "medium", "pt": "médio"},
    "large": {"en": "large", "pt": "grande"},
    "width": {"en": "Width, px", "pt": "Largura, px"},
    "height": {"en": "Height, px", "pt": "Altura, px"},
    "megapixels": {"en": "Megapixels", "pt": "Megapixels"},
    "aspect": {"en": "Width over height", "pt": "Largura por altura"},
    "file_bytes": {"en": "File size, bytes", "pt": "Tamanho do arquivo, bytes"},
    "faces_annotated": {"en": "Annotated faces in an image", "pt": "Faces anotadas por imagem"},
    "brightness": {"en": "Brightness, 0 to 255", "pt": "Brilho, 0 a 255"},
    "contrast": {"en": "Contrast, 0 to 255", "pt": "Contraste, 0 a 255"},
    "sharpness": {"en": "Sharpness, variance of the Laplacian", "pt": "Nitidez, variância do laplaciano"},
    "jpeg_quality": {"en": "JPEG quality", "pt": "Qualidade JPEG"},
    "area_share": {"en": "Area share of the annotated face", "pt": "Proporção de área da face anotada"},
    "box_confidence": {"en": "Confidence of the annotated box", "pt": "Confiança da caixa anotada"},
    "probe": {"en": "Linear probe, balanced accuracy ↑", "pt": "Classificador linear, acurácia balanceada ↑"},
    "neighbours": {"en": "Label agreement of 10 neighbours ↑", "pt": "Concordância de rótulo de 10 vizinhos ↑"},
    "silhouette": {"en": "Silhouette ↑", "pt": "Silhueta ↑"},
    "scatter": {"en": "Scatter between over within ↑", "pt": "Dispersão entre por dentro ↑"},
    "davies_bouldin": {"en": "Davies-Bouldin index ↓", "pt": "Índice de Davies-Bouldin ↓"},
    "anger": {"en": "anger", "pt": "raiva"},
    "disgust": {"en": "disgust", "pt": "nojo"},
    "fear": {"en": "fear", "pt": "medo"},
    "happiness": {"en": "happiness", "pt": "alegria"},
    "sadness": {"en": "sadness", "pt": "tristeza"},
    "surprise": {"en": "surprise", "pt": "surpresa"},
    "neutral": {"en": "neutral", "pt": "neutro"},
}  # fmt: skip
"""Titles, headings, classes and notes."""


class Speaker:
    """Fills sentences in, in the language of a code (see `locale_of`)."""

    def __init__(self, locale: str) -> None:
        self.locale = locale_of(locale).lang

    def say(self, key: str, **values: object) -> str:
        """The sentence called `key`, its places filled."""
        return TEXT[key][self.locale].format(**values)

    def word(self, key: str) -> str:
        """The heading or word called `key`."""
        return WORDS[key][self.locale]

    def number(self, value: float, digits: int = 3) -> str:
        """With the locale's decimal sign."""
        text = f"{value:,.{digits}f}"
        return text if self.locale == "en" else text.translate(str.maketrans(",.", ".,"))

    def percent(self, value: float) -> str:
        """A share as a percentage."""
        return f"{self.number(100 * value, 1)}%"
