"""What pages and pictures say, in English and Chinese."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from node.domain.findings import Caution, Findings, Refusal
from node.domain.prior import Change
from node.report.typeset import Language

_ENGLISH: Mapping[str, str] = {
    "title": "Bone density, quantitative CT",
    "patient": "Patient",
    "id": "ID",
    "born": "born",
    "age": "age {count} {unit}",
    "M": "M",
    "F": "F",
    "O": "O",
    "y": "y",
    "m": "m",
    "w": "w",
    "d": "d",
    "study": "Study",
    "accession": "Accession",
    "scan": "Scan",
    "mean": "Mean",
    "mean_of": "Mean of {levels}",
    "uncertainty": "± is the expanded uncertainty (k = 2)",
    "normal": "Normal",
    "low-bone-mass": "Low bone mass",
    "osteoporosis": "Osteoporosis range",
    "not-classified": "Not classified",
    "limits": "Limits {low} and {high} mg/cm³ {material}, mean of two lumbar vertebrae",
    "limits_void": "The limits of {low} and {high} mg/cm³ are not valid here",
    "densities": "Density by vertebra",
    "not_in_mean": "not in the mean: {reason}",
    "trend": "Trend",
    "no_prior": "No earlier result is known.",
    "change": "{change:+.1f} mg/cm³ since {date}",
    "rate": "({rate:+.1f} % per year)",
    "significant": "more than the least significant change of {least:.1f}",
    "not_significant": "within the least significant change of {least:.1f}",
    "not_comparable": "No change since {date} is stated: {reasons}.",
    "differences": "Measured otherwise: {differences}.",
    "calibration": "Calibration",
    "no_phantom": "No phantom",
    "serial": "serial {serial}",
    "no_serial": "serial not stated",
    "line": "σ {sigma:.3f} HU per mg/cm³, β {beta:+.1f}",
    "fit": "r² {r_squared:.4f}, residual {rms:.1f} HU",
    "slope_cv": "σ by vertebra: CV {cv:.1f} %",
    "asynchronous": "Asynchronous: {source}",
    "converted": "{value:.1f} ± {spread:.1f} mg/cm³ K₂HPO₄ by cross-calibration",
    "reading": "{percent} %: {values}",
    "native": "Without contrast medium about {value:.1f} ± {spread:.1f} mg/cm³ (estimate)",
    "in_material": "Density by vertebra, {material}",
    "density_axis": "mg/cm³",
    "warnings": "To be considered",
    "no_warnings": "No warnings.",
    "spine": "Vertebral heights",
    "heights": "front · middle · back, mm",
    "levels": "Levels: {anchors}; L1 is L1 with a probability of {confidence:.2f}",
    "conflict": "ways of counting differ",
    "agree": "ways of counting agree",
    "single": "one way of counting",
    "none": "no way of counting",
    "wedge": "wedge",
    "biconcave": "biconcave",
    "crush": "crush",
    "candidate": "{type} {loss:.0f} %, grade {grade}?",
    "candidate_sure": "{candidate} (confidence {confidence:.2f})",
    "incomplete": "incomplete",
    "fracture_none": "No height loss of 20 % or more was found in {count} vertebrae.",
    "fracture_one": "For review: {levels}",
    "fracture_unknown": "Heights could not be measured.",
    "thick": "Slices of {mm:g} mm: reformats are not reliable for fractures.",
    "not_measured": "Not measured",
    "attenuation": "{hu:.0f} HU (SD {sd:.0f})",
    "no_density": "{level}: {hu:.0f} HU (SD {sd:.0f}), no density",
    "body": "Vertebral body",
    "voi": "Measured volume",
    "rods": "Calibration rods",
    "notice": "Automatic measurement, not verified by a physician. Not a medical device.",
    "made": "vbmd-node {version}, configuration {digest}",
    "curved": "Bent along the column: no distances across the curve",
    "none_seen": "No vertebrae were found.",
    "and_more": "and {count} more, see the report",
}
_CHINESE: Mapping[str, str] = {
    "title": "定量 CT 骨密度",
    "patient": "患者",
    "id": "编号",
    "born": "出生",
    "age": "{count} {unit}",
    "M": "男",
    "F": "女",
    "O": "其他",
    "y": "岁",
    "m": "个月",
    "w": "周",
    "d": "天",
    "study": "检查",
    "accession": "检查号",
    "scan": "扫描",
    "mean": "平均",
    "mean_of": "{levels} 平均值",
    "uncertainty": "± 为扩展不确定度（k = 2）",
    "normal": "正常",
    "low-bone-mass": "低骨量",
    "osteoporosis": "骨质疏松范围",
    "not-classified": "未分类",
    "limits": "界值 {low} 与 {high} mg/cm³ {material}，取两个腰椎的平均值",
    "limits_void": "界值 {low} 与 {high} mg/cm³ 在此不适用",
    "densities": "各椎体骨密度",
    "not_in_mean": "未计入平均值：{reason}",
    "trend": "变化趋势",
    "no_prior": "没有既往结果。",
    "change": "自 {date} 起 {change:+.1f} mg/cm³",
    "rate": "（每年 {rate:+.1f} %）",
    "significant": "超过最小有意义变化 {least:.1f}",
    "not_significant": "未超过最小有意义变化 {least:.1f}",
    "not_comparable": "与 {date} 的结果不作比较：{reasons}。",
    "differences": "测量条件不同：{differences}。",
    "calibration": "校准",
    "no_phantom": "无体模",
    "serial": "序列号 {serial}",
    "no_serial": "序列号未注明",
    "line": "σ {sigma:.3f} HU 每 mg/cm³，β {beta:+.1f}",
    "fit": "r² {r_squared:.4f}，残差 {rms:.1f} HU",
    "slope_cv": "各椎体 σ 变异系数 {cv:.1f} %",
    "asynchronous": "异步校准：{source}",
    "converted": "交叉校准后 {value:.1f} ± {spread:.1f} mg/cm³ K₂HPO₄",
    "reading": "可能性 {percent} %：{values}",
    "native": "无对比剂时约 {value:.1f} ± {spread:.1f} mg/cm³（估计）",
    "in_material": "各椎体骨密度，{material}",
    "density_axis": "mg/cm³",
    "warnings": "注意事项",
    "no_warnings": "无警告。",
    "spine": "椎体高度",
    "heights": "前缘 · 中央 · 后缘，mm",
    "levels": "椎体定位：{anchors}；L1 正确的概率 {confidence:.2f}",
    "conflict": "不同计数方法不一致",
    "agree": "不同计数方法一致",
    "single": "仅一种计数方法",
    "none": "无计数依据",
    "wedge": "楔形",
    "biconcave": "双凹",
    "crush": "压缩",
    "candidate": "{type} {loss:.0f} %，{grade} 度？",
    "candidate_sure": "{candidate}（置信度 {confidence:.2f}）",
    "incomplete": "不完整",
    "fracture_none": "{count} 个椎体均未见 20 % 及以上的高度丢失。",
    "fracture_one": "请复核：{levels}",
    "fracture_unknown": "无法测量椎体高度。",
    "thick": "层厚 {mm:g} mm：重建图像不能可靠判断骨折。",
    "not_measured": "未测量",
    "attenuation": "{hu:.0f} HU（SD {sd:.0f}）",
    "no_density": "{level}：{hu:.0f} HU（SD {sd:.0f}），无骨密度",
    "body": "椎体",
    "voi": "测量区域",
    "rods": "校准棒",
    "notice": "自动测量，未经医师核实。非医疗器械。",
    "made": "vbmd-node {version}，配置 {digest}",
    "curved": "沿脊柱弯曲展开，跨曲线的距离不准确",
    "none_seen": "未找到椎体。",
    "and_more": "另有 {count} 条，见报告",
}
_CAUTIONS: Mapping[str, str] = {
    "contrast": "使用了对比剂：骨密度读数偏高（约 8 %）。",
    "thick-slices": "层厚较大：椎体高度与骨折判断不可靠。",
    "single-level": "仅一个椎体计入结果，分类需要两个椎体。",
    "substituted": "有椎体不能测量，由其他椎体代替，见报告。",
    "left-out": "部分松质骨明显偏密或偏疏，未计入结果，见报告。",
    "heights-not-stated": "部分椎体高度测量不可靠（层厚较大或终板显示不清），未列出，请看重建图像。",
    "endplate-depression": "个别终板凹陷明显深于其他椎体：请排除骨折或 Schmorl 结节。",
    "posterior-wall": "疑似骨折椎体的后壁膨出：请排除爆裂性或病理性骨折。",
    "levels-differ-from-prior": "椎体命名沿用既往报告，与本次单独判断不同，见报告。",
    "priors-incomplete": "既往结果未能（全部）查询到：可能还有未作比较的既往报告。",
    "levels-unsure": "椎体定位可能相差一个节段。",
    "second-opinion-differs": "不同分割引擎对椎体的命名不一致。",
    "second-opinion-missing": "第二分割引擎未给出结果。",
    "kvp": "管电压与界值的验证条件（120 kV）不同。",
    "uncalibrated-unit": "体模材料与界值不同（非 K₂HPO₄）。",
    "cross-calibrated": "分类采用经交叉校准换算的 K₂HPO₄ 当量值。",
    "table-height": "检查床高度与平时不同。",
    "noise": "图像噪声较大。",
    "sharp-kernel": "使用了锐利重建核：骨密度可能有偏差。",
    "truncated": "部分身体位于视野之外：骨密度可能有偏差。",
    "off-centre": "患者偏离扫描中心：骨密度可能有偏差。",
    "metal": "所测层面内有金属：可能有条状伪影。",
    "slope-variation": "各椎体层面的校准斜率不一致。",
    "asynchronous": "扫描内无体模，采用异步校准，不确定度较大。",
    "calibration-bridged": "部分椎体旁的校准棒无法读取，采用上下层面的校准。",
    "out-of-control": "该扫描仪的校准超出控制范围。",
}
"""By code; a caution that is not here keeps its English sentence."""
_REFUSALS: Mapping[str, str] = {
    "no-suitable-series": "没有适合测量的序列。",
    "unsuitable-series": "该类序列无法测量。",
    "incomplete-series": "图像层面缺失。",
    "irregular-series": "图像层面不构成规则的堆叠。",
    "image-undecodable": "图像无法解码。",
    "phantom-not-found": "扫描范围内没有校准体模。",
    "phantom-out-of-field": "体模未完整位于视野内，或不在 L1、L2 旁。",
    "phantom-unknown": "体模未在本扫描仪的配置中。",
    "phantom-ambiguous": "两种已配置的体模同样吻合。",
    "poor-calibration": "校准质量不足。",
    "spine-not-found": "未找到脊柱。",
    "levels-outside-scan": "L1 与 L2 未完整包含在扫描范围内。",
    "levels-ambiguous": "无法确定椎体节段。",
    "vertebra-not-measurable": "没有可测量的椎体。",
    "measurement-failed": "测量失败。",
    "confounded": "扫描条件使测量不可靠。",
    "qa-scan": "体模质控扫描，没有患者。",
}
_NOT_COMPARABLE: Mapping[str, str] = {
    "no-mean": "既往检查没有平均骨密度",
    "material": "校准材料不同",
    "asynchronous": "并非两次扫描内均有体模",
    "levels": "平均值所含椎体不同",
    "kvp": "管电压不同",
    "contrast": "仅一次使用了对比剂",
}
_DIFFERS: Mapping[str, str] = {"kernel": "重建核", "phantom": "体模", "scanner": "扫描仪"}
_REASONS: Mapping[str, str] = {
    "fracture": "骨折",
    "cement": "骨水泥",
    "metal": "金属",
    "lesion": "病灶",
    "artefact": "伪影",
    "incomplete": "不完整",
    "not-a-target-level": "非目标节段",
}
_REASONS_ENGLISH: Mapping[str, str] = {"not-a-target-level": "not a target level"}


@dataclass(frozen=True, slots=True)
class Words:
    """The sentences of one language."""

    language: Language = "en"

    def say(self, key: str, **values: object) -> str:
        """A sentence with its values filled in."""
        return (_CHINESE if self.language == "zh" else _ENGLISH)[key].format(**values)

    def caution(self, caution: Caution) -> str:
        """A warning."""
        if self.language == "zh":
            return _CAUTIONS.get(caution.code, caution.message)
        return caution.message

    def refusal(self, refusal: Refusal) -> str:
        """Why there is no measurement."""
        if self.language == "zh":
            return _REFUSALS.get(refusal.reason, refusal.message)
        return refusal.message

    def not_comparable(self, change: Change) -> str:
        """Why two results must not be compared."""
        if self.language == "zh":
            return "；".join(_NOT_COMPARABLE.get(one.code, one.message) for one in change.reasons)
        return "; ".join(one.message for one in change.reasons)

    def differences(self, change: Change) -> str:
        """What else was not the same."""
        if self.language == "zh":
            return "；".join(f"{_DIFFERS[one.what]} {one.before} → {one.now}" for one in change.differences)
        return "; ".join(one.message for one in change.differences)

    def exclusion(self, reason: str | None) -> str:
        """Why a vertebra is not in the mean."""
        known = _REASONS if self.language == "zh" else _REASONS_ENGLISH
        return known.get(reason or "", (reason or "").replace("-", " "))

    def deformity(self, findings: Findings, level: str, confidence: bool = False) -> str | None:
        """A candidate for review, and if asked for how sure it is; ``None`` where there is none."""
        found = next((v.deformity for v in findings.vertebrae if v.level == level), None)
        if found is None or found.genant_grade == 0:
            return None
        kind = self.say(found.type)
        candidate = self.say("candidate", type=kind, loss=found.loss_percent, grade=found.genant_grade)
        if not confidence:
            return candidate
        return self.say("candidate_sure", candidate=candidate, confidence=found.confidence)


def material_name(material: str) -> str:
    """With its digits lowered."""
    return material.translate(str.maketrans("234", "₂₃₄"))


def number_of(value: float) -> str:
    """A limit without needless decimals."""
    return f"{value:g}"


def languages() -> tuple[Mapping[str, str], Mapping[str, str]]:
    """Both tables, for comparison."""
    return _ENGLISH, _CHINESE
