"""
The words that cleaning leaves in a description: what was examined, how, and with what.

Anatomy, modalities, sequences, views, contrast and reconstruction, in English and German.  Words that are often
somebody's name are left out (`Young`, `Max`, `Dixon`), except for parts of the body: whether such a word is the name of
this patient is for the guard to say.
"""

from __future__ import annotations

from typing import Final

_ANATOMY: Final = """
    abdomen abdominal achilles achillessehne acromioclavicular adrenal adrenals airway airways angesicht ankle ankles
    anus aorta aortic appendix arm arme arms arterial arterien arteries artery articulation atemwege atlas atrial
    atrium auge augen augenhöhle augenhöhlen axilla axillary axis back bandscheibe bandscheiben bauch
    bauchspeicheldrüse becken beckenboden bein beine beinvenen bile biliary bladder bone bones bowel brachial brain
    brainstem breast breasts bronchial bronchus brust brustbein brustkorb brustwirbelsäule bws calcaneus cardiac
    carotid carpal cerebellum cerebral cerebrum cervical cervix chest clavicle coccyx cochlea colon coronary corpus
    cranial cranium darm daumen diaphragm dickdarm disc discs dünndarm duodenum ear ears eierstock eierstöcke elbow
    elbows ellbogen ellenbogen epiphysis esophagus extremität extremitäten extremities extremity eye eyeball eyes face
    facial femoral femur ferse fetal fetus fibula finger fingers foot forearm forefoot fuesse fuß füße fuss fusswurzel
    fußwurzel gallbladder galle gallenblase gallenwege ganzkoerper ganzkörper gebärmutter gefaesse gefäß gefäße gehirn
    gelenk gelenke gesäß gesicht gesichtsschädel gland glands gluteal gonads groin haende hals halsweichteile
    halswirbelsäule hand hände handgelenk handgelenke hands handwurzel harnblase harnleiter harnröhre harnwege haut
    head heads heart hemithorax hepatic herz hindfoot hip hips hirn hirnnerven hirnstamm hoden huefte hüfte hüften
    hüftgelenk hüftgelenke humerus hws hypophyse hypophysis ileum iliac iliosakralgelenk inguinal innenohr intestine
    intracranial isg jaw jejunum joint joints kehlkopf kidney kidneys kiefer kiefergelenk kiefergelenke knee knees
    knie kniegelenk kniegelenke knies kniescheibe knochen kopf kreuzband kreuzbein larynx leber leg legs leiste
    lendenwirbelsäule ligament liver luftröhre lumbar lumbosacral lung lunge lungen lungenembolie lungs lws lymph
    lymphatic lymphknoten magen mamma mammae mandible mastdarm mastoid maxilla mediastinum meniscus meniskus
    metacarpal metatarsal midfoot milz mitral mittelfuß mittelgesicht mittelhand mittelohr muscle muscles muskel
    muskeln myocardial myocardium nacken nasal nase nasennebenhöhlen nasopharynx nebenhoden nebenniere nebennieren
    neck nerv nerve nerves niere nieren nnh node nodes nose oberarm oberbauch oberkiefer oberkoerper oberkörper
    oberschenkel oesophagus ohr ohren ohrspeicheldrüse optic oral orbit orbita orbital orbits oropharynx ovaries ovary
    palate pancreas pancreatic parotid patella patellar pelvic pelvis penis pericardium peripheral peritoneum pharynx
    pituitary placenta pleura portal prostate pulmonary rectal rectum renal retroperitoneum rib ribs rippe rippen
    rücken rückenmark ruecken rumpf sacral sacroiliac sacrum salivary scalp scaphoid scapula schädel schädelbasis
    schaedel schambein schienbein schilddruese schilddrüse schläfenbein schluesselbein schlüsselbein schulter
    schultergelenk schultern scrotum sehne sehnen shoulder shoulders sinus sinuses skeleton skelett skull soft
    speicheldrüse speicheldrüsen speiseröhre spinal spine spleen splenic sprunggelenk sprunggelenke steißbein
    sternoclavicular sternum stomach subclavian talus teeth temporal temporomandibular tendon testes testicular testis
    thigh thoracic thoracolumbar thorakal thorax throat thumb thymus thyroid tibia tibial tissue tmj toe toes tongue
    tooth trachea tract trunk ulna umbilical unterarm unterbauch unterkiefer unterschenkel upperarm ureter ureters
    urethra urinary uterus vagina vascular vein veins vena vene venen venous ventricle ventricles ventricular vertebra
    vertebrae vertebral vessel vessels vorfuß wadenbein weichteil weichteile wholebody wholespine wirbel wirbelkörper
    wirbelsaeule wirbelsäule wrist wrists zähne zeh zehe zehen zunge zwerchfell zygoma
"""
_MODALITY: Final = """
    angio angiogram angiographie angiography arthrographie cardio cbct ccta cholangiographie cine computed
    computertomographie conventional cr ct cta ctp cxr dect densitometry dexa diagnostic dickdarmkontrasteinlauf
    digital doppler dr dsa duplex durchleuchtung dx dxa ecg echo echocardiography echokardiographie eeg ekg
    elastography endoscopy eus fluoro fluoroscopic fluoroscopy hrct hsg intraoperative ivp ivus kernspintomographie
    knochendichte knochendichtemessung kub lymphography magnetresonanztomographie mammogram mammographie mammography
    mg mr mra mrcp mre mri mrs mrt mrv myelogram myelographie myelography nm nuclear oct octa opg ops optical ot
    panorama panoramaaufnahme panoramic perfusion pet petct petmr phlebographie photo planar portable
    positronenemissionstomographie pt pta radiograph radiography radiology rf roentgen röntgen röntgenaufnahme rtdose
    rtimage rtplan rtstruct scintigraphy sonographie sonography spect spectct spectral spectroscopy szintigramm
    szintigraphie tace tavi tomographie tomography tomosynthese tomosynthesis ultraschall ultrasound urographie
    urography us vcug venography videofluoroscopy xa xray
"""
_TECHNIQUE: Final = """
    abd acquisition adc additional adult age algorithm angle angulated anterior ap asl attenuation aufnahme aufnahmen
    ausatmung average averaged axial axiale axialen axials background baseline bds befund beidseits belastung
    bestrahlungsplanung bh biopsie biopsy blade blood body bodywork bold bolus bravo breath breathhold breathing
    brightness calcium calibration caudal ce center check chemical children ciss clear coil collimation color colour
    combined comparison compression contrast control cor coronal coronals corrected correction cranio craniocaudal
    cube curved cut cuts delay delayed density derived detail diastole diastolic dicom diffusion dir dose drainage
    drip dti dual dünnschicht dwi dwibs dynamic dynamisch early edge einatmung eingabe emergency empty energy enhanced
    enhancement epi equilibrium ergebnis exam examination excretory expiration expiratory exspiration extended
    extension fast fat fatsat fatsuppressed fbp feet ffe fgre fiducial field filter filtered final flair flash flexion
    flow fluid fmri follow followup fov frame free frequency frfse frontal frühphase fs fse full functional
    funktionsaufnahme funktionsaufnahmen fused fusion gad gadolinium ganzaufnahme gated gating gehalten gekippt
    gradient gre guided hase haste helical high hires hochauflösend hochkant ideal image images imaging in inferior
    inflow initial injection inplane inspiration inspiratory intermediate interpolated intervention interventional
    intravenous inversion ir irm iso isotropic iterative iv kein keine kernel km kontrast kontrastmittel kontrolle
    koronar koronare kv kvp ladder längs lat late lateral laterale lava leer left liegend limb limited lines linke
    linker linkes links loc localiser localizer long low lower ls map mapping marker mask maximum mean measurement
    medial median merge mid midline min minimum minip mip mit ml mlo mm monitoring mono motion mpr mprage mprs mpvr ms
    mtc multi multiphase multiplanar multislice nach nativ native nativen nativer navigator nephrographic neuro
    neutral niedrigdosis no non noncontrast normal notfall number oben oblique obliques off ohne one open opposed
    optimized out overlay overview pa parallel parametric parenchym part partial patch pc pd pdw pediatric perkutan
    phantom phase phases placement plane planning pns portalvenös position post postcontrast posterior postop
    postoperativ postoperative präoperativ pre precontrast preliminary preop preoperative primary prior processed
    prone propeller protocol protondensity proximal pulse punktion qc quality quantitative quer radial rao rapid ratio
    raw reason rechte rechter rechtes rechts recon reconstructed reconstruction reference reformat reformats
    reformatted registration rekonstruktion rekonstruktionen relative repeat report research resolution rest resting
    results retro retrospective review right roi rotation routine sag sagittal sagittale sagittals saturation save
    scan scano scanogram schicht schichtdicke scout screen screening secondary segmentation seite seitenvergleich
    seitlich seitliche selective sense sequence sequenz serie series setup shim shot side single skin slab slice
    slices slow smartprep smooth snapshot source space spair spätphase spectrum spgr spin spir spiral spoiled spot
    ssfp ssfse stack staging standard standing star static std stehend stir stitched strahlentherapie stress
    structured studie study subtract subtracted subtraction sum summary superior supine supp suppressed suppression
    survey susceptibility swan swi systole systolic tangential task te teil test tests texture tfe tfl thick thickness
    thin thins thk three tilt tilted time tof topogram total tr trace tracking transversal transverse trauma treatment
    triple true trufi trufisp tse tumor tumour turbo two übersicht übersichtsaufnahme uebersicht ultraniedrigdosis
    uncorrected unenhanced unten unter upper upright va vasc venc venogram venös verlauf verlaufskontrolle vert vibe
    view views vista vollbild volume volumetric vor wash washin washout wasser water weightbearing weighted wfi whole
    window with without wo woc work workup zero zielaufnahme zoom zusatz
"""
#: What codes of structured reports mean, for the most part (PS3.16).
_REPORT: Final = """
    abnormality amount annotation area assessment calcification centimeter circumference conclusion conclusions content
    count country current degree degrees descriptive device diagnosis diameter dimension distance document evidence
    finding findings gravida group heading height impression impressions indication indications kilogram language lesion
    library mass measurements millimeter millimeters milliliter morphology name nodule observation observer of percent
    performed person physician procedure radiation recommendation recommendations reported request section segment site
    size subject summary symptom target text title tracking type unique unit units value values weight width
"""

#: In lower case, each of letters only.
VOCABULARY: Final = frozenset(f"{_ANATOMY} {_MODALITY} {_TECHNIQUE} {_REPORT}".split())
