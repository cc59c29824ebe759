"""The page about the data (`eda`) and the funnel (`selection`) in Portuguese."""

from typing import Final

_NAMES: Final = {
    # Splits, and the outcomes and stages of a face
    "train": "treinamento", "val": "validação", "test": "teste", "train, balanced": "treinamento, balanceado",
    "matched": "encontradas", "second look": "segunda busca", "most prominent": "a mais proeminente",
    "annotated landmarks": "pontos anotados", "annotated box": "caixa anotada", "whole image": "imagem inteira",
    "given": "já alinhadas", "rows": "linhas", "readable": "legíveis", "detected": "detectadas", "kept": "mantidas",
    "Rows": "Linhas", "Readable": "Legíveis", "Detected": "Detectadas", "Matched": "Encontradas", "Kept": "Mantidas",
    "Missed": "Perdidas", "no label": "sem rótulo", "no detector": "nenhum",
    # Quantiles
    "min": "mín.", "p5": "p5", "q25": "q25", "median": "mediana", "q75": "q75", "p95": "p95", "max": "máx.",
    # Headings, axes and tooltips
    "Split": "Partição", "All": "Todas", "Imbalance": "Desbalanceamento", "IoU": "IoU", "Known": "Conhecidos",
    "Problem": "Problema", "Images": "Imagens", "Such as": "Por exemplo", "Of": "De", "And": "E", "Pairs": "Pares",
    "Identical files": "Arquivos idênticos", "In two splits": "Em duas partições", "Image": "Imagem",
    "Other image": "Outra imagem", "Other split": "Outra partição", "Alone in their image": "Sozinhas na imagem",
    "Among several": "Entre várias", "Of these largest": "Destas, a maior",
    "Of these most central": "Destas, a mais central", "Of these sharpest": "Destas, a mais nítida",
    "All three": "As três", "None of them": "Nenhuma das três", "largest": "maior", "most central": "mais central",
    "sharpest": "mais nítida", "dataset": "conjunto", "from": "de", "to": "até", "in": "em", "class": "classe",
    "stage": "etapa", "share of train": "proporção do treinamento", "share of faces": "proporção das faces",
    # Operations of the augmentation, and what is drawn for them
    "flip": "espelhamento", "scale": "escala", "rotation": "rotação", "shear": "cisalhamento",
    "perspective": "perspectiva", "translation": "translação", "brightness contrast": "brilho e contraste",
    "gamma": "gama", "equalise": "equalização", "illumination": "iluminação", "gaussian blur": "desfoque gaussiano",
    "motion blur": "desfoque de movimento", "gaussian noise": "ruído gaussiano", "downscale": "perda de resolução",
    "erasing": "apagamento", "grid": "grade", "zoom": "zoom", "angle": "ângulo", "x": "x", "y": "y",
    "brightness": "brilho", "contrast": "contraste", "amount": "intensidade", "sigma": "sigma",
    "length": "extensão", "factor": "fator", "area": "área", "aspect": "aspecto", "cell": "célula", "hole": "furo",
}  # fmt: skip
WORDS: Final[dict[str, str]] = _NAMES | {
    "The data: {datasets}": "Os dados: {datasets}",
    "and": "e",
    "its folder": "sua pasta",
    "The photographs of {dataset} are not measured yet": "As fotografias de {dataset} ainda não foram medidas",
    "The photographs of {dataset} cannot be read": "As fotografias de {dataset} não podem ser lidas",
    "This part needs the preprocessed records of {dataset}": (
        "Esta parte precisa dos registros pré-processados de {dataset}"
    ),
    # Classes
    "Classes": "Classes",
    "Faces of each class in the records, by split. The imbalance is the count of the largest class over that of the "
    "smallest; balanced accuracy and macro F1 weigh all classes alike whatever it is.": (
        "Faces de cada classe nos registros, por partição. O desbalanceamento é a contagem da maior classe dividida "
        "pela da menor; qualquer que seja ele, a acurácia balanceada e o F1 macro dão o mesmo peso a todas as classes."
    ),
    "Faces by class": "Faces por classe",
    "Shares of the classes in train": "Proporções das classes no treinamento",
    "Of all faces in the train split of each dataset.": (
        "De todas as faces da partição de treinamento de cada conjunto de dados."
    ),
    "Faces of {dataset} by class and split": "Faces de {dataset} por classe e partição",
    "Train is balanced by light copies; validation and test never are.": (
        "O treinamento é balanceado com cópias da política light; a validação e o teste nunca são."
    ),
    # Photographs
    "Photographs": "Fotografias",
    "Every image with a usable line of the annotation, as it lies on disk. Brightness, contrast and sharpness are "
    "measured on its gray levels with the longer side drawn {work_px} px long; sharpness is the variance of the "
    "Laplacian (Pech-Pacheco et al., 2000). The JPEG quality is the one whose libjpeg quantisation table (ITU-T T.81, "
    "table K.1, scaled) is nearest to the file's (after Kornblum, 2008).": (
        "Cada imagem com uma linha utilizável da anotação, tal como está no disco. Brilho, contraste e nitidez são "
        "medidos em seus níveis de cinza, com o lado maior redimensionado para {work_px} px; a nitidez é a variância "
        "do laplaciano (Pech-Pacheco et al., 2000). A qualidade JPEG é aquela cuja tabela de quantização da libjpeg "
        "(ITU-T T.81, tabela K.1, escalada) mais se aproxima da do arquivo (segundo Kornblum, 2008)."
    ),
    "Aspect, width / height": "Razão de aspecto, largura / altura",
    "JPEG quality, 1 to 100": "Qualidade JPEG, de 1 a 100",
    "Brightness, mean gray 0 to 255": "Brilho, cinza médio de 0 a 255",
    "Contrast, standard deviation of gray": "Contraste, desvio padrão do cinza",
    "Annotated faces per image": "Faces anotadas por imagem",
    "Share of the image that the face's box covers": "Proporção da imagem coberta pela caixa da face",
    "Box confidence, 0 to 100": "Confiança da caixa, de 0 a 100",
    "Share of each dataset's images.": "Proporção das imagens de cada conjunto de dados.",
    "Share of each dataset's faces.": "Proporção das faces de cada conjunto de dados.",
    "The outermost bins hold what lies beyond them, at most 0.5% at each end.": (
        "As faixas das pontas contêm também o que está além delas, no máximo 0.5% em cada ponta."
    ),
    "Quantiles": "Quantis",
    "Images that cannot be measured": "Imagens que não podem ser medidas",
    "image too large": "imagem grande demais",
    "missing image": "imagem ausente",
    "path leaves the dataset folder": "o caminho sai da pasta do conjunto de dados",
    "unreadable image: broken or cut short": "imagem ilegível: corrompida ou truncada",
    "unreadable image: its pixels have no known range": "imagem ilegível: seus pixels não têm faixa conhecida",
    "unreadable image: not a picture of a known kind": "imagem ilegível: não é de um formato conhecido",
    "unreadable image: the file cannot be read": "imagem ilegível: o arquivo não pode ser lido",
    # Annotated faces
    "Annotated faces": "Faces anotadas",
    "Where an image has several annotated faces, one of them has the largest box, one the centre nearest to the "
    "image's, and one is the sharpest (variance of the Laplacian of its box, drawn {face_px} x {face_px} px). A rule "
    "that takes one face of each image loses the others; classes that are seldom the chosen one lose more.": (
        "Quando uma imagem tem várias faces anotadas, uma delas tem a maior caixa, uma tem o centro mais próximo do "
        "centro da imagem e uma é a mais nítida (variância do laplaciano de sua caixa, redimensionada para "
        "{face_px} x {face_px} px). Uma regra que toma uma única face de cada imagem perde as demais; as classes que "
        "raramente são a escolhida perdem mais."
    ),
    "One face among several": "Uma face entre várias",
    "Faces of {dataset} that stand out among several, by class": (
        "Faces de {dataset} que se destacam entre várias, por classe"
    ),
    "Share of the faces of a class in images with more than one annotated face.": (
        "Proporção das faces de uma classe em imagens com mais de uma face anotada."
    ),
    # Detector
    "Detector": "Detector",
    "How each kept face was found, and how its box overlaps the annotated one (intersection over union). A class that "
    "is missed more often is cropped more often by its annotation, not by the detector.": (
        "Como cada face mantida foi encontrada e quanto sua caixa se sobrepõe à anotada (interseção sobre união, IoU). "
        "Uma classe que o detector perde com mais frequência é recortada com mais frequência pela anotação, e não "
        "pelo detector."
    ),
    "No face of {dataset} was sought: its images are faces.": (
        "Nenhuma face de {dataset} foi procurada: suas imagens já são faces."
    ),
    "Outcome by class": "Resultado por classe",
    "Overlap of the detected and the annotated box": "Sobreposição da caixa detectada com a anotada",
    "Box: the middle half, with the median; line: 5% to 95%. Higher is better ↑.": (
        "Caixa: a metade central, com a mediana; linha: de 5% a 95%. Maior é melhor ↑."
    ),
    # Near-duplicates
    "Near-duplicates": "Quase duplicatas",
    "Pairs of images that show the same, by a perceptual hash and then by their pixels. Those across splits or "
    "datasets would let a model be tested on what it was trained on; make duplicates lists them all.": (
        "Pares de imagens que mostram o mesmo, segundo um hash perceptual e, em seguida, seus pixels. Os que cruzam "
        "partições ou conjuntos de dados permitiriam testar um modelo naquilo em que foi treinado; make duplicates "
        "lista todos."
    ),
    "Near-duplicates are not known, as the images' fingerprints are not there": (
        "As quase duplicatas não são conhecidas, pois faltam as impressões digitais das imagens"
    ),
    "The most alike pairs, {shown} of {all:,}": "Os pares mais parecidos, {shown} de {all:,}",
    # Faces of each class
    "Faces of each class": "Faces de cada classe",
    "Of the preprocessed records. A mean face is the mean of the train faces of a class, {most:,} random ones where "
    "there are more: where it is sharp, faces agree.": (
        "Dos registros pré-processados. Uma face média é a média das faces de treinamento de uma classe, {most:,} "
        "aleatórias quando há mais: onde ela é nítida, as faces concordam."
    ),
    "Mean faces of {dataset}": "Faces médias de {dataset}",
    "Of the train split, by class.": "Da partição de treinamento, por classe.",
    "{dataset}: mean face of each class": "{dataset}: face média de cada classe",
    "mean of {count:,}": "média de {count:,}",
    "Faces of {dataset}": "Faces de {dataset}",
    "Random faces of all splits, a row for each class.": (
        "Faces aleatórias de todas as partições, uma linha por classe."
    ),
    "{dataset} {variant}: faces of each class": "{dataset} {variant}: faces de cada classe",
    "no more": "não há mais",
    "no {name}": "nenhuma de {name}",
    "The preprocessed records of {dataset} hold no train face": (
        "Os registros pré-processados de {dataset} não contêm nenhuma face de treinamento"
    ),
    # What augmentation does
    "What augmentation does": "O que o aumento de dados faz",
    "One train face of each dataset, through the code that trains: each operation by itself, then all together. "
    "Validation and test faces are never augmented.": (
        "Uma face de treinamento de cada conjunto de dados, pelo mesmo código que treina: cada operação sozinha e, "
        "depois, todas juntas. As faces de validação e de teste nunca passam pelo aumento de dados."
    ),
    "Online augmentation of {dataset}": "Aumento de dados online de {dataset}",
    "Offline augmentation of {dataset}": "Aumento de dados offline de {dataset}",
    "Policy strong: drawn anew for every face in every epoch.": (
        "Política strong: sorteado de novo para cada face em cada época."
    ),
    "Policy light: drawn once, for the copies that balance the train split.": (
        "Política light: sorteado uma só vez, para as cópias que balanceiam a partição de treinamento."
    ),
    "Policy {policy}: each operation by itself, then all together": (
        "Política {policy}: cada operação sozinha e, depois, todas juntas"
    ),
    "as it is": "original",
    "whole policy, {number}": "política inteira, {number}",
    # The funnel
    "How the faces of {dataset} were chosen": "Como as faces de {dataset} foram escolhidas",
    "Rows are the lines of the annotation; readable are the usable ones whose image can be read; in those detected "
    "some face was seen, and in those matched the annotated one; kept are the faces in the records, where the missed "
    "ones are cropped by their annotation.": (
        "As linhas são as da anotação; legíveis são as utilizáveis cuja imagem pode ser lida; nas detectadas foi vista "
        "alguma face e, nas encontradas, a anotada; mantidas são as faces nos registros, em que as perdidas são "
        "recortadas pela anotação."
    ),
    "From annotated rows to faces in the records": "Das linhas anotadas às faces nos registros",
    "Detector: {detector}. Kept faces that were not matched are cropped by their annotation.": (
        "Detector: {detector}. As faces mantidas que não foram encontradas são recortadas pela anotação."
    ),
    "Share of the annotated rows": "Proporção das linhas anotadas",
    "Annotated rows of {dataset} by class": "Linhas anotadas de {dataset} por classe",
}
