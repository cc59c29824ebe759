"""The report about the runs in Portuguese."""

from typing import Final

_HEADINGS: Final = {
    "All runs": "Todas as execuções", "All metrics on {dataset}": "Todas as métricas em {dataset}",
    "Every class on {dataset}": "Cada classe em {dataset}", "Confusion": "Confusão", "not measured": "não medido",
    "Accuracy": "Acurácia", "Balanced accuracy": "Acurácia balanceada", "Macro precision": "Precisão macro",
    "Macro recall": "Revocação macro", "Macro F1": "F1 macro", "Weighted precision": "Precisão ponderada",
    "Weighted recall": "Revocação ponderada", "Weighted F1": "F1 ponderado", "MCC": "MCC",
    "Cohen's kappa": "Kappa de Cohen", "Macro AUROC": "AUROC macro", "Log loss": "Perda logarítmica",
    "Calibration error": "Erro de calibração", "Precision": "Precisão", "Recall": "Revocação", "F1": "F1",
    "AUROC": "AUROC", "Run": "Execução", "Variant": "Variante", "Architecture": "Arquitetura",
    "Arch": "Arquitetura", "Augmentation": "Aumento de dados", "Aug": "Aumento de dados", "Loader": "Carregador",
    "Seed": "Semente", "Image px": "Imagem px", "Epochs": "Épocas", "Test faces": "Faces de teste",
    "Folder": "Pasta", "Trained on": "Treinada em", "Tested on": "Testada em",
    "Balanced accuracy on its own test set": "Acurácia balanceada no próprio conjunto de teste",
    "Training s": "Treinamento s", "Epoch s": "Época s", "Images/s": "Imagens/s",
    "Loader wait": "Espera do carregador", "share": "fração", "Peak memory MiB": "Pico de memória MiB",
    "Peak GPU memory MiB": "Pico de memória da GPU MiB", "GPU utilisation": "Uso da GPU",
    "GPU memory by NVML MiB": "Memória da GPU pelo NVML MiB", "Parameters": "Parâmetros",
    "GFLOPs per image": "GFLOPs por imagem", "Energy J": "Energia J", "True": "Verdadeira", "Predicted": "Prevista",
    "Share of the true class": "Fração da classe verdadeira",
}  # fmt: skip
WORDS: Final[dict[str, str]] = _HEADINGS | {
    # The page
    "Facial expression recognition: the study's runs": "Reconhecimento de expressões faciais: as execuções do estudo",
    "{count} runs in {folder}": "{count} execuções em {folder}",
    "Filter rows": "Filtrar linhas",
    "The data": "Os dados",
    "Performance: {part}": "Desempenho: {part}",
    "Benchmarks": "Medições de desempenho",
    "No benchmark is drawn yet": "Nenhuma medição de desempenho foi desenhada ainda",
    "Sections": "Seções",
    "Summary": "Resumo",
    "Runs": "Execuções",
    "Curves and confusion": "Curvas e confusão",
    "Across datasets": "Entre conjuntos de dados",
    "Time and memory": "Tempo e memória",
    "Settings": "Configurações",
    "Settings and environment": "Configurações e ambiente",
    "Reproduce": "Reproduzir",
    "How to reproduce": "Como reproduzir",
    "How the numbers are made": "Como os números são obtidos",
    "Compared on {dataset}": "Comparação em {dataset}",
    "No run has been tested yet.": "Nenhuma execução foi testada ainda.",
    "No run has been tested yet": "Nenhuma execução foi testada ainda",
    "No run is finished.": "Nenhuma execução terminou.",
    "is unfinished ({state}); continue it with": "não terminou ({state}); continue com",
    "Scores on each run's own test set, with 95% bootstrap intervals. A click on a heading sorts.": (
        "Resultados no conjunto de teste de cada execução, com intervalos bootstrap de 95%. "
        "Um clique em um título ordena."
    ),
    "Each model on the test set of a dataset it was not trained on, with no further training.": (
        "Cada modelo no conjunto de teste de dados em que não foi treinado, sem novo treinamento."
    ),
    "Training as a whole; epochs and speed are medians over epochs, memory is the highest seen.": (
        "O treinamento inteiro; época e velocidade são medianas das épocas, a memória é a maior observada."
    ),
    "FLOPs are those of one image's forward pass; a multiplication and an addition are two.": (
        "FLOPs são os da passagem direta de uma imagem; uma multiplicação e uma adição são duas."
    ),
    "Not measured: no run has logged an epoch.": "Não medido: nenhuma execução registrou uma época.",
    "Settings of all runs": "Configurações de todas as execuções",
    "Settings of the run": "Configurações da execução",
    "Environment of all runs": "Ambiente de todas as execuções",
    "Environment of the run": "Ambiente da execução",
    "What is particular to": "O que é próprio de",
    "In a checkout of fastfer, with the datasets under data/raw:": (
        "Em uma cópia do fastfer, com os conjuntos de dados em data/raw:"
    ),
    "Official test sets are only tested on; the weights of the best epoch are chosen by macro F1 on the "
    "validation set.": (
        "Os conjuntos de teste oficiais servem apenas para testar; os pesos da melhor época são escolhidos pelo F1 "
        "macro no conjunto de validação."
    ),
    "Intervals are 95% percentile bootstrap intervals over the rows of the test set (Efron and Tibshirani, 1993).": (
        "Os intervalos são bootstrap percentil de 95% sobre as linhas do conjunto de teste (Efron e Tibshirani, 1993)."
    ),
    "Macro averages weigh every class alike, weighted ones by its faces; AUROC is one class against the rest; "
    "calibration error has 15 bins (Guo et al., 2017); log loss is in nats.": (
        "Médias macro dão o mesmo peso a cada classe, as ponderadas pesam pelo número de faces; AUROC é uma classe "
        "contra as demais; o erro de calibração tem 15 faixas (Guo et al., 2017); a perda logarítmica está em nats."
    ),
    # The summary
    "Best on {dataset}": "Melhor em {dataset}",
    "balanced accuracy, 95% interval {interval}": "acurácia balanceada, intervalo de 95%: {interval}",
    "Accuracy is {accuracy}, macro F1 {macro_f1}, on {n:,} test faces; "
    "guessing would give a balanced accuracy of {guessed:.3f}.": (
        "A acurácia é {accuracy}, o F1 macro {macro_f1}, em {n:,} faces de teste; "
        "o acaso daria uma acurácia balanceada de {guessed:.3f}."
    ),
    "Next of {count} runs is {run} with {value}, {where} that interval.": (
        "A segunda de {count} execuções é {run} com {value}, {where} desse intervalo."
    ),
    "inside": "dentro",
    "below": "abaixo",
    "On {dataset} alone it reaches {score}.": "Somente em {dataset} ela alcança {score}.",
    "On {dataset}, which it was not trained on, it reaches {score}.": (
        "Em {dataset}, em que não foi treinada, ela alcança {score}."
    ),
    "{epochs} of {planned} epochs are logged": "{epochs} de {planned} épocas registradas",
    "{epochs} epochs are logged": "{epochs} épocas registradas",
    "undefined": "indefinido",
    "no interval": "sem intervalo",
    "{low:.3f} to {high:.3f}": "{low:.3f} a {high:.3f}",
    # Runs
    "best epoch": "melhor época",
    "epochs run": "épocas executadas",
    "parameters": "parâmetros",
    "tested on": "testada em",
    "balanced accuracy": "acurácia balanceada",
    "No epoch is logged, so there are no curves": "Nenhuma época foi registrada, portanto não há curvas",
    "There is no confusion.csv, so no confusion matrix": "Não há confusion.csv, portanto nem matriz de confusão",
    "The run is unfinished, so there are no scores": "A execução não terminou, portanto não há resultados",
    "No run was tested on another dataset yet": "Nenhuma execução foi testada em outro conjunto ainda",
    "Not tested on another dataset yet: {runs}": "Ainda não testadas em outro conjunto: {runs}",
    "on {dataset}": "em {dataset}",
    # Figures
    "Metrics on the {dataset} test set": "Métricas no conjunto de teste de {dataset}",
    "Points with 95% intervals. ↑ higher is better, ↓ lower is better. "
    "Values below 0 (MCC, kappa) and log loss are in the table.": (
        "Pontos com intervalos de 95%. ↑ maior é melhor, ↓ menor é melhor. "
        "Valores abaixo de 0 (MCC, kappa) e a perda logarítmica estão na tabela."
    ),
    "F1 by class on the {dataset} test set": "F1 por classe no conjunto de teste de {dataset}",
    "Points with 95% intervals, higher is better ↑; in brackets the faces of the class in the test set.": (
        "Pontos com intervalos de 95%, maior é melhor ↑; entre parênteses as faces da classe no conjunto de teste."
    ),
    "Trained on {dataset}: balanced accuracy by test set": (
        "Treinadas em {dataset}: acurácia balanceada por conjunto de teste"
    ),
    "Points with 95% intervals, higher is better ↑; the gap between the sets is what does not carry over.": (
        "Pontos com intervalos de 95%, maior é melhor ↑; a distância entre os conjuntos é o que não se transfere."
    ),
    "The vertical line is epoch {best}, whose weights were kept.": (
        "A linha vertical é a época {best}, cujos pesos foram guardados."
    ),
    "Loss by epoch": "Perda por época",
    "Lower is better ↓.": "Menor é melhor ↓.",
    "Accuracy by epoch": "Acurácia por época",
    "Higher is better ↑.": "Maior é melhor ↑.",
    "training": "treinamento",
    "validation": "validação",
    "training accuracy": "acurácia de treinamento",
    "validation accuracy": "acurácia de validação",
    "validation macro F1": "F1 macro de validação",
    "Confusion matrix, counts": "Matriz de confusão, contagens",
    "Confusion matrix, normalised": "Matriz de confusão, normalizada",
    "Faces of each true class (rows) by predicted class (columns). The diagonal is right.": (
        "Faces de cada classe verdadeira (linhas) por classe prevista (colunas). A diagonal está certa."
    ),
    "Share of each true class (rows sum to 1). The diagonal is recall: higher is better ↑.": (
        "Fração de cada classe verdadeira (as linhas somam 1). A diagonal é a revocação: maior é melhor ↑."
    ),
    "run": "execução",
    "value": "valor",
    "low": "inferior",
    "high": "superior",
    "series": "série",
    "epoch": "época",
    "true": "verdadeira",
    "predicted": "prevista",
    "share of the true class": "fração da classe verdadeira",
    "test set": "conjunto de teste",
    "augmentation": "aumento de dados",
    # Augmentation and together
    "Baseline against augmented": "Referência contra aumento de dados",
    "Runs trained with augmentation beside those trained without, alike in everything else, on the test "
    "set of the dataset they were trained on.": (
        "Execuções treinadas com aumento de dados ao lado das treinadas sem ele, iguais em todo o resto, no conjunto "
        "de teste dos dados em que foram treinadas."
    ),
    "What augmentation changes": "O que o aumento de dados muda",
    "Balanced accuracy with augmentation less that without: right of zero, augmentation is better →. "
    "Lines are 95% paired bootstrap intervals.": (
        "Acurácia balanceada com aumento de dados menos a sem ele: à direita de zero, o aumento é melhor →. "
        "As linhas são intervalos bootstrap pareados de 95%."
    ),
    "has no baseline without augmentation": "não tem referência sem aumento de dados",
    "has no augmented counterpart": "não tem par com aumento de dados",
    "{lacking} of {all} differences have no paired interval, as the runs were not compared": (
        "{lacking} de {all} diferenças não têm intervalo pareado, pois as execuções não foram comparadas"
    ),
    "none": "sem",
    "augmented": "com aumento",
    "alone": "sozinha",
    "together": "em conjunto",
    "Trained together on": "Treinada em conjunto em",
    "Together": "Em conjunto",
    "Runs trained on several datasets together beside those trained on one of them alone, alike in "
    "everything else, on the test set of that one. The difference is over the faces both were tested on.": (
        "Execuções treinadas em vários conjuntos de dados ao lado das treinadas em um só, iguais em todo o resto, no "
        "conjunto de teste desse. A diferença é sobre as faces em que ambas foram testadas."
    ),
    "Together against alone": "Em conjunto contra sozinha",
    "What training together changes": "O que o treinamento em conjunto muda",
    "Balanced accuracy of the run trained together less that of the one trained alone: right of zero, "
    "together is better →. Lines are 95% paired bootstrap intervals.": (
        "Acurácia balanceada da execução treinada em conjunto menos a da treinada sozinha: à direita de zero, em "
        "conjunto é melhor →. As linhas são intervalos bootstrap pareados de 95%."
    ),
    "{run} was not tested on {dataset} alone": "{run} não foi testada somente em {dataset}",
    "{run} has no counterpart trained on {dataset} alone": "{run} não tem par treinado somente em {dataset}",
    "No run was trained on several datasets together": "Nenhuma execução foi treinada em vários conjuntos",
    "{arch} · seed {seed}": "{arch} · semente {seed}",
    # Statistics
    "Statistics": "Estatística",
    "Pairs of runs": "Pares de execuções",
    "{shown} of {all} pairs of runs are shown, those that differ in the dataset, the architecture, "
    "the augmentation with its variant, or the seed alone; {file} has them all. {clear} of those shown "
    "differ at the 5% level after Holm's adjustment, which is over all pairs of the same test set.": (
        "São mostrados {shown} de {all} pares de execuções, os que diferem somente no conjunto de dados, na "
        "arquitetura, no aumento com sua variante ou na semente; {file} tem todos. {clear} dos mostrados diferem ao "
        "nível de 5% após o ajuste de Holm, que abrange todos os pares do mesmo conjunto de teste."
    ),
    "McNemar's test (1947) asks whether two models err alike: exact below 25 faces that only one of them gets "
    "right, else chi-squared with continuity correction. Cohen's g is small from 0.05, medium from 0.15, large "
    "from 0.25. The test speaks of two trained models, not of how they were trained: another seed may turn it "
    "round.": (
        "O teste de McNemar (1947) pergunta se dois modelos erram igualmente: exato abaixo de 25 faces que só um deles "
        "acerta, senão qui-quadrado com correção de continuidade. O g de Cohen é pequeno a partir de 0.05, médio de "
        "0.15, grande de 0.25. O teste fala de dois modelos treinados, não de como foram treinados: outra semente "
        "pode invertê-lo."
    ),
    "The runs were not compared with one another": "As execuções não foram comparadas entre si",
    "No settings were compared over several seeds": "Nenhuma configuração foi comparada com várias sementes",
    "Over seeds": "Entre sementes",
    "Over seeds: runs that differ in nothing else, so what chance in training alone does.": (
        "Entre sementes: execuções que não diferem em mais nada, ou seja, o efeito do acaso no treinamento."
    ),
    "Balanced accuracy over seeds": "Acurácia balanceada entre sementes",
    "Means, with lines from the lowest to the highest seed; higher is better ↑.": (
        "Médias, com linhas da semente mais baixa à mais alta; maior é melhor ↑."
    ),
    "A": "A",
    "B": "B",
    "Shared faces": "Faces em comum",
    "Only A right": "Só A certa",
    "Only B right": "Só B certa",
    "McNemar's test": "Teste de McNemar",
    "p": "p",
    "Holm": "Holm",
    "Cohen's g": "g de Cohen",
    "Odds ratio": "Razão de chances",
    "A − B": "A − B",
    "Metric": "Métrica",
    "Seeds": "Sementes",
    "Mean": "Média",
    "Standard deviation": "Desvio padrão",
    "Lowest": "Mínimo",
    "Highest": "Máximo",
}
