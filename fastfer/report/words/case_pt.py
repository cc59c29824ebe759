"""The page about two datasets' precision (`case`) in Portuguese."""

from typing import Final

WORDS: Final[dict[str, str]] = {
    "How precise are {datasets}?": "Quão precisos são {datasets}?",
    "{datasets} in {photographs} and {records}": "{datasets} em {photographs} e {records}",
    "What the numbers support": "O que os números sustentam",
    "The raw photographs": "As fotografias originais",
    "The query's word and the label": "A palavra da busca e o rótulo",
    "The person in evidence": "A pessoa em evidência",
    "Separability of the classes": "Separabilidade das classes",
    "Quality of the labels": "Qualidade dos rótulos",
    "How this was measured": "Como isto foi medido",
    "{quantity}: {one} has a median of {one_median}, {other} of {other_median}; the difference is {size} (Cliff's "
    "delta {delta}, adjusted p {p}).": (
        "{quantity}: a mediana de {one} é {one_median}, a de {other} é {other_median}; a diferença é {size} (delta "
        "de Cliff {delta}, p ajustado {p})."
    ),
    "No difference between {one} and {other} was found in: {quantities}.": (
        "Não se encontrou diferença entre {one} e {other} em: {quantities}."
    ),
    "{dataset}: of {n} faces whose file name holds an emotion word, {share} ({low} to {high}) carry another label "
    "than the word asks for. The word is that of a web query, so this is no error of the label as such.": (
        "{dataset}: de {n} faces cujo nome de arquivo contém uma palavra de emoção, {share} ({low} a {high}) têm um "
        "rótulo diferente do que a palavra pede. A palavra é a de uma busca na web; por si só, isto não é erro do "
        "rótulo."
    ),
    "{dataset}: no file name holds an emotion word.": "{dataset}: nenhum nome de arquivo contém uma palavra de emoção.",
    "{dataset}: {share} ({low} to {high}) of {n} images searched whole show more than one face.": (
        "{dataset}: {share} ({low} a {high}) de {n} imagens examinadas por inteiro mostram mais de uma face."
    ),
    "{dataset}: of {n} annotated faces, {largest} are not the largest of their image, {central} not the most "
    "central, {sharp} not the sharpest.": (
        "{dataset}: de {n} faces anotadas, {largest} não são a maior da imagem, {central} não são a mais central e "
        "{sharp} não são a mais nítida."
    ),
    "By {features}, classes of {one} stand further apart than those of {other}: a linear probe reaches {one_value} "
    "against {other_value} balanced accuracy, and the intervals of the draws do not meet.": (
        "Por {features}, as classes de {one} são mais separadas que as de {other}: um classificador linear chega a "
        "{one_value} contra {other_value} de acurácia balanceada, e os intervalos dos sorteios não se tocam."
    ),
    "By {features}, no difference in separability is shown: a linear probe reaches {one_value} on {one} and "
    "{other_value} on {other}, and the intervals of the draws overlap.": (
        "Por {features}, não se mostra diferença de separabilidade: um classificador linear chega a {one_value} em "
        "{one} e {other_value} em {other}, e os intervalos dos sorteios se sobrepõem."
    ),
    "{dataset}: an estimated {share} ({low} to {high}) of the labels are wrong, by confident learning on {n} faces "
    "with a probe that agrees with {probe} of the labels.": (
        "{dataset}: estima-se que {share} ({low} a {high}) dos rótulos estejam errados, por aprendizado confiante em "
        "{n} faces com um classificador que concorda com {probe} dos rótulos."
    ),
    "The labels of {one} are estimated to be wrong more often than those of {other}: the intervals do not meet.": (
        "Estima-se que os rótulos de {one} estejam errados com mais frequência que os de {other}: os intervalos não "
        "se tocam."
    ),
    "A difference in label quality between {one} and {other} is not shown: the intervals overlap.": (
        "Não se mostra diferença na qualidade dos rótulos entre {one} e {other}: os intervalos se sobrepõem."
    ),
    "{dataset}: a person judged {n} of the most suspicious labels; {share} ({low} to {high}) are wrong. Suspects are "
    "not typical: this is no rate of the dataset.": (
        "{dataset}: uma pessoa julgou {n} dos rótulos mais suspeitos; {share} ({low} a {high}) estão errados. "
        "Suspeitos não são típicos: esta não é a taxa do conjunto."
    ),
    "{dataset}: nobody has judged the suspects yet. Fill in the column verdict (agree, disagree, unclear) of {file}, "
    "and give the command again.": (
        "{dataset}: ninguém julgou os suspeitos ainda. Preencha a coluna verdict (agree, disagree, unclear) de "
        "{file} e repita o comando."
    ),
    "Shares have 95% Wilson intervals that count the faces of one image as related (design effect).": (
        "As proporções têm intervalos de Wilson de 95% que tratam as faces de uma imagem como dependentes (efeito do "
        "desenho)."
    ),
    "Differences of photographs are tested by Mann and Whitney, two-sided, adjusted by Holm over all quantities; "
    "Cliff's delta is the effect, above 0 where the second dataset is larger.": (
        "As diferenças entre fotografias são testadas por Mann e Whitney, bilateral, com ajuste de Holm sobre todas "
        "as grandezas; o efeito é o delta de Cliff, acima de 0 onde o segundo conjunto é maior."
    ),
    "Faces of whole images were found by {detector} in a random sample of images; faces smaller than 3.5% of the "
    "image's longer side are not sought.": (
        "As faces das imagens inteiras foram encontradas por {detector} em uma amostra aleatória de imagens; não se "
        "procuram faces menores que 3,5% do lado maior da imagem."
    ),
    "Separability is measured on {per_class} faces of each class and dataset, drawn {draws} times; intervals hold "
    "95% of the draws.": (
        "A separabilidade é medida em {per_class} faces de cada classe e conjunto, sorteadas {draws} vezes; os "
        "intervalos contêm 95% dos sorteios."
    ),
    "{features}: features of the network trained on each dataset, of test faces it was not trained on.": (
        "{features}: atributos da rede treinada em cada conjunto, de faces de teste com que não foi treinada."
    ),
    "Wrong labels are estimated from predictions of faces that the probe had not seen, nor any face of their image. "
    "The estimate includes expressions that the probe itself confuses; on made labels it was 0 to 3 points too high.": (
        "Os rótulos errados são estimados com previsões de faces que o classificador não viu, nem outra face da "
        "mesma imagem. A estimativa inclui expressões que o próprio classificador confunde; em rótulos fabricados "
        "ela foi 0 a 3 pontos alta demais."
    ),
    "Quantity": "Grandeza",
    "median (quartiles)": "mediana (quartis)",
    "Cliff's delta": "Delta de Cliff",
    "Effect": "Efeito",
    "Adjusted p": "p ajustado",
    "Features": "Atributos",
    "Estimated share of wrong labels ↓": "Proporção estimada de rótulos errados ↓",
    "Query": "Busca",
    "Label": "Rótulo",
    "Label differs from the query": "Rótulo difere da busca",
    "Image shows more than one face": "A imagem mostra mais de uma face",
    "Annotated face is not the largest": "A face anotada não é a maior",
    "Annotated face is not the most central": "A face anotada não é a mais central",
    "Annotated face is not the sharpest": "A face anotada não é a mais nítida",
    "The most suspicious labels": "Os rótulos mais suspeitos",
    "Written label, then what other faces suggest.": "Rótulo escrito e o que as demais sugerem.",
    "Faces by t-SNE": "Faces por t-SNE",
    "Each point a face; near points look alike (HOG). Distances between groups mean nothing.": (
        "Cada ponto é uma face; pontos próximos são parecidos (HOG). Distâncias entre grupos nada significam."
    ),
    "Pairs of classes told apart": "Pares de classes distinguidos",
    "Balanced accuracy of a linear probe for each pair; 0.5 is chance, higher is better ↑.": (
        "Acurácia balanceada de um classificador linear para cada par; 0,5 é o acaso, maior é melhor ↑."
    ),
    "Query by label": "Busca por rótulo",
    "Share of each query's faces (rows sum to 1) by their label.": (
        "Proporção das faces de cada busca (linhas somam 1) por rótulo."
    ),
    "negligible": "desprezível",
    "small": "pequeno",
    "medium": "médio",
    "large": "grande",
    "Width over height": "Largura por altura",
    "Annotated faces in an image": "Faces anotadas por imagem",
    "Brightness, 0 to 255": "Brilho, 0 a 255",
    "Contrast, 0 to 255": "Contraste, 0 a 255",
    "JPEG quality": "Qualidade JPEG",
    "Area share of the annotated face": "Proporção de área da face anotada",
    "Confidence of the annotated box": "Confiança da caixa anotada",
    "Linear probe, balanced accuracy ↑": "Classificador linear, acurácia balanceada ↑",
    "Label agreement of 10 neighbours ↑": "Concordância de rótulo de 10 vizinhos ↑",
    "Silhouette ↑": "Silhueta ↑",
    "Scatter between over within ↑": "Dispersão entre por dentro ↑",
    "Davies-Bouldin index ↓": "Índice de Davies-Bouldin ↓",
    "anger": "raiva",
    "disgust": "nojo",
    "fear": "medo",
    "happiness": "alegria",
    "sadness": "tristeza",
    "surprise": "surpresa",
    "neutral": "neutro",
}
